//! Keys: what a user has, and the database's own, which that one wraps.
//!
//! The database's key is random and never changes, so that a new passphrase rewrites nothing. It stands, wrapped, in a
//! small file of JSON, `encryption.1.key`; the next passphrase makes `encryption.2.key`, and the first goes when that was read back.

use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::parse_key_file_name;
use crate::options::Environment;
use crate::storage::{Storage, crc32c};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

const KEY: usize = 32;
const SALT: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;

/// What a new passphrase costs: 64 MiB and three passes, some tenths of a second.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3 };
/// What a file may ask for, so that a foreign one takes neither all memory nor minutes.
const MOST: Cost = Cost { memory_kib: 256 << 10, passes: 8 };
/// A key file is far smaller.
const MAX_FILE: u64 = 4096;

/// What opens an encrypted database: a passphrase, or 32 random bytes.
///
/// It is wiped from memory when it is dropped, and shows itself nowhere.
#[derive(Clone)]
pub struct Key(Kind);

#[derive(Clone)]
enum Kind {
    Passphrase(Zeroizing<Vec<u8>>),
    Bytes(Zeroizing<[u8; KEY]>),
}

impl Key {
    /// What a person remembers. Argon2id makes a key of it, each time the database is opened, which is made to take some
    /// tenths of a second and 64 MiB.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when it is empty.
    pub fn passphrase(passphrase: impl Into<Vec<u8>>) -> Result<Self> {
        let passphrase = Zeroizing::new(passphrase.into());
        if passphrase.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the passphrase is empty"));
        }
        Ok(Self(Kind::Passphrase(passphrase)))
    }

    /// 32 bytes of a good source of randomness, from wherever keys are kept: a key store, a `CryptoKey`, a file. Costs no time to open.
    pub fn bytes(bytes: [u8; 32]) -> Self {
        Self(Kind::Bytes(Zeroizing::new(bytes)))
    }

    /// What a key file holds: 64 hexadecimal digits are [`bytes`](Self::bytes), all else is a passphrase. The end of the line
    /// does not count.
    ///
    /// # Errors
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) when there is nothing in it.
    pub fn of_file(content: &[u8]) -> Result<Self> {
        let line = content.strip_suffix(b"\n").unwrap_or(content);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match from_hex::<KEY>(line) {
            Some(bytes) => Ok(Self::bytes(bytes)),
            None => Self::passphrase(line),
        }
    }

    /// What making a key of it is to cost.
    fn cost(&self) -> Option<Cost> {
        matches!(self.0, Kind::Passphrase(_)).then_some(COST)
    }

    /// The key that wraps the database's.
    fn wrapping(&self, cost: Option<Cost>, salt: &[u8]) -> Result<Zeroizing<[u8; KEY]>> {
        match (&self.0, cost) {
            (Kind::Bytes(bytes), None) => Ok(bytes.clone()),
            (Kind::Passphrase(passphrase), Some(cost)) => {
                let mut key = Zeroizing::new([0; KEY]);
                let failed = |e| {
                    Error::new(
                        ErrorKind::InvalidArgument,
                        format!("no key can be made of the passphrase: {e}"),
                    )
                };
                let params = Params::new(cost.memory_kib, cost.passes, 1, Some(KEY)).map_err(failed)?;
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2.hash_password_into(passphrase, salt, &mut *key).map_err(failed)?;
                Ok(key)
            }
            _ => Err(wrong_key()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The key that everything in a database is sealed with.
#[derive(Clone)]
pub(super) struct DataKey(Zeroizing<[u8; KEY]>);

impl DataKey {
    pub(super) fn new(random: &dyn Environment) -> Result<Self> {
        let mut key = Zeroizing::new([0; KEY]);
        random.random(&mut *key)?;
        Ok(Self(key))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }
}

/// What argon2id takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
}

/// The wrapped key, as it stands in its file.
#[derive(Serialize, Deserialize)]
struct Wrapped {
    pumice_key: u32,
    /// Without it, the key is one of 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    argon2id: Option<Cost>,
    salt: String,
    nonce: String,
    key: String,
}

/// The one version there is.
const VERSION: u32 = 1;

/// The content of a key file.
pub(super) fn wrap(data: &DataKey, key: &Key, random: &dyn Environment) -> Result<Vec<u8>> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    random.random(&mut salt)?;
    random.random(&mut nonce)?;
    let argon2id = key.cost();
    let cipher = XChaCha20Poly1305::new((&*key.wrapping(argon2id, &salt)?).into());
    let mut wrapped = *data.0;
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), &place(argon2id, &salt), wrapped.as_mut_slice().into())
        .map_err(|_| Error::new(ErrorKind::Io, "the cipher failed"))?;
    let line = Wrapped {
        pumice_key: VERSION,
        argon2id,
        salt: to_hex(&salt),
        nonce: to_hex(&nonce),
        key: to_hex(&[&wrapped[..], &tag[..]].concat()),
    };
    let mut text = serde_json::to_vec(&line)
        .map_err(|e| Error::new(ErrorKind::Io, format!("the key file cannot be written: {e}")))?;
    let check = crc32c(&text);
    text.extend(format!(" {check:08x}\n").bytes());
    Ok(text)
}

/// Whether the key file was written to its end, and reads as it was written.
pub(super) fn is_whole(content: &[u8]) -> bool {
    text(content).is_some()
}

/// The JSON of a whole key file.
fn text(content: &[u8]) -> Option<&[u8]> {
    let (text, check) = content.strip_suffix(b"\n")?.split_last_chunk::<9>()?;
    (check == format!(" {:08x}", crc32c(text)).as_bytes()).then_some(text)
}

/// The database's key, out of a whole key file.
pub(super) fn unwrap(content: &[u8], name: &str, key: &Key) -> Result<DataKey> {
    let damaged = || Error::corrupt(name, 0, "the key file cannot be read; restore a backup of it");
    let json = text(content).ok_or_else(damaged)?;
    let line: Wrapped = serde_json::from_slice(json).map_err(|_| damaged())?;
    if line.pumice_key > VERSION {
        let message = format!("{name} was written by a newer version of Pumice; update to open it");
        return Err(Error::new(ErrorKind::Version, message));
    }
    let cost = line.argon2id;
    if cost.is_some_and(|cost| cost.memory_kib > MOST.memory_kib || cost.passes > MOST.passes) {
        let message = "the key file asks for more memory or time than any that Pumice writes";
        return Err(Error::corrupt(name, 0, message));
    }
    let salt: [u8; SALT] = from_hex(line.salt.as_bytes()).ok_or_else(damaged)?;
    let nonce: [u8; NONCE] = from_hex(line.nonce.as_bytes()).ok_or_else(damaged)?;
    let sealed: [u8; KEY + TAG] = from_hex(line.key.as_bytes()).ok_or_else(damaged)?;
    let (wrapped, tag) = sealed.split_first_chunk::<KEY>().ok_or_else(damaged)?;
    let tag = Tag::try_from(tag).map_err(|_| damaged())?;
    let cipher = XChaCha20Poly1305::new((&*key.wrapping(cost, &salt)?).into());
    let mut data = Zeroizing::new(*wrapped);
    cipher
        .decrypt_inout_detached(&XNonce::from(nonce), &place(cost, &salt), data.as_mut_slice().into(), &tag)
        .map_err(|_| wrong_key())?;
    Ok(DataKey(data))
}

/// What a wrapped key is bound to.
fn place(cost: Option<Cost>, salt: &[u8]) -> Vec<u8> {
    let (memory, passes) = cost.map_or((0, 0), |cost| (cost.memory_kib, cost.passes));
    [b"pumice key", &memory.to_le_bytes()[..], &passes.to_le_bytes(), salt].concat()
}

fn wrong_key() -> Error {
    Error::new(ErrorKind::InvalidArgument, "this key does not open the database; nothing was changed")
}

/// The key files in `storage`, the newest first.
pub(super) async fn generations<S: Storage>(storage: &S) -> Result<Vec<u32>> {
    let mut found: Vec<_> =
        storage.list().await?.iter().filter_map(|name| parse_key_file_name(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Reads a key file.
pub(super) async fn read<S: Storage>(storage: &S, name: &str) -> Result<Vec<u8>> {
    if storage.len(name).await? > MAX_FILE {
        return Err(Error::corrupt(name, 0, "the key file is longer than any that Pumice writes"));
    }
    storage.read_at(name, 0, MAX_FILE as usize).await
}

/// Writes a key file durably, and reads it back.
pub(super) async fn write<S: Storage>(storage: &S, name: &str, content: &[u8]) -> Result<()> {
    storage.create(name).await?;
    storage.append(name, content).await?;
    storage.sync(name).await?;
    if read(storage, name).await? == content {
        return Ok(());
    }
    Err(Error::corrupt(name, 0, "the key file does not read back as it was written; check the disk"))
}

fn to_hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
