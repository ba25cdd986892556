//! Sealing: bytes of a file in frames that only the key opens, each only in its place.
//!
//! A file begins with a header that binds it to its name and to the database's key. Behind it come frames. A frame says at
//! which offset of the content its bytes stand, and that the content ends with them: so a frame without bytes is a cut. It opens only
//! in this file and at this place of it. Nonces are random: counters would come again after a crash or a restored backup.

use super::key::DataKey;
use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::MAGIC;
use crate::options::Environment;
use crate::storage::crc32c;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};

const FILE_ID: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;
/// Magic, identity, nonce and tag.
pub(super) const HEADER: usize = MAGIC.len() + FILE_ID + NONCE + TAG;

/// Length (4), offset (8) and checksum of both (4).
pub(super) const PREFIX: usize = 16;
/// What a frame has besides its bytes.
pub(super) const OVERHEAD: usize = PREFIX + NONCE + TAG;
/// Bytes of content in a frame. A read opens whole frames.
pub(super) const MAX_FRAME: usize = 16 << 10;

/// The identity of a file, which all its frames are bound to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId([u8; FILE_ID]);

#[cfg(test)]
impl FileId {
    pub(super) fn of_test() -> Self {
        Self([7; FILE_ID])
    }
}

/// What a frame says before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    /// Where in the content its bytes stand.
    pub(super) offset: u64,
    /// How many they are.
    pub(super) len: u32,
}

impl Prefix {
    /// Bytes of the whole frame.
    pub(super) fn frame_len(self) -> u64 {
        u64::from(self.len) + OVERHEAD as u64
    }
}

pub(super) struct Sealing(XChaCha20Poly1305);

impl Sealing {
    pub(super) fn new(key: &DataKey) -> Self {
        Self(XChaCha20Poly1305::new(key.bytes().into()))
    }

    /// The header of a new file.
    pub(super) fn header(&self, name: &str, random: &dyn Environment) -> Result<(FileId, Vec<u8>)> {
        let mut id = [0; FILE_ID];
        random.random(&mut id)?;
        let mut header = [&MAGIC[..], &id].concat();
        self.seal(&mut header, &[], &header_place(&id, name), random)?;
        Ok((FileId(id), header))
    }

    /// Whose header these bytes are, if they are one for `name`.
    pub(super) fn open_header(&self, name: &str, bytes: &[u8]) -> Option<FileId> {
        let rest = bytes.get(..HEADER)?.strip_prefix(MAGIC)?;
        let (id, sealed) = rest.split_first_chunk::<FILE_ID>()?;
        self.open(sealed, &header_place(id, name)).map(|_| FileId(*id))
    }

    /// Adds a frame to `out`, which is to stand at `position` of the file.
    pub(super) fn seal_frame(
        &self,
        out: &mut Vec<u8>,
        file: FileId,
        position: u64,
        offset: u64,
        content: &[u8],
        random: &dyn Environment,
    ) -> Result<()> {
        let len = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let prefix = Prefix { offset, len };
        out.extend(len.to_le_bytes());
        out.extend(offset.to_le_bytes());
        out.extend(check(file, position, prefix).to_le_bytes());
        self.seal(out, content, &frame_place(file, position, prefix), random)
    }

    /// The content of the frame `bytes`, which stands at `position`.
    pub(super) fn open_frame(&self, file: FileId, position: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let prefix = read_prefix(file, position, bytes)?;
        let sealed = bytes.get(PREFIX..usize::try_from(prefix.frame_len()).ok()?)?;
        self.open(sealed, &frame_place(file, position, prefix))
    }

    fn seal(&self, out: &mut Vec<u8>, content: &[u8], place: &[u8], random: &dyn Environment) -> Result<()> {
        let mut nonce = [0; NONCE];
        random.random(&mut nonce)?;
        out.extend(nonce);
        let start = out.len();
        out.extend(content);
        let sealed = out.get_mut(start..).unwrap_or_default();
        let tag = self.0.encrypt_inout_detached(&XNonce::from(nonce), place, sealed.into());
        out.extend(tag.map_err(|_| Error::new(ErrorKind::Io, "the cipher failed"))?);
        Ok(())
    }

    fn open(&self, sealed: &[u8], place: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let (content, tag) = rest.split_last_chunk::<TAG>()?;
        let mut content = content.to_vec();
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let opened = self.0.decrypt_inout_detached(&nonce, place, content.as_mut_slice().into(), &tag);
        opened.is_ok().then_some(content)
    }
}

/// What a frame at `position` says, if there is one. Only opening it tells whether that is true.
pub(super) fn read_prefix(file: FileId, position: u64, bytes: &[u8]) -> Option<Prefix> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (found, _) = rest.split_first_chunk::<4>()?;
    let prefix = Prefix { offset: u64::from_le_bytes(*offset), len: u32::from_le_bytes(*len) };
    let sound = prefix.len as usize <= MAX_FRAME
        && prefix.offset.checked_add(u64::from(prefix.len)).is_some()
        && u32::from_le_bytes(*found) == check(file, position, prefix);
    sound.then_some(prefix)
}

fn check(file: FileId, position: u64, prefix: Prefix) -> u32 {
    crc32c(&frame_place(file, position, prefix))
}

/// Where a frame belongs.
fn frame_place(file: FileId, position: u64, Prefix { offset, len }: Prefix) -> [u8; FILE_ID + 20] {
    let mut place = [0; FILE_ID + 20];
    let parts = [&file.0[..], &position.to_le_bytes(), &offset.to_le_bytes(), &len.to_le_bytes()];
    place.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    place
}

/// Where a header belongs.
fn header_place(id: &[u8; FILE_ID], name: &str) -> Vec<u8> {
    [&MAGIC[..], id, name.as_bytes()].concat()
}
