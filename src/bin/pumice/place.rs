//! Where databases are, and the key that opens them.

use pumice::{Error, ErrorKind, Key, KeyedDiskStorage, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

/// A database, encrypted if there is a key.
pub(crate) type Db = pumice::blocking::Db<KeyedDiskStorage>;

/// A key file is far shorter.
const MAX_FILE: u64 = 4096;

/// The key that `--key-file` names. One command has one.
static KEY: OnceLock<Key> = OnceLock::new();

/// Takes the key of the file at `path` for everything that is opened from now on.
pub(crate) fn use_key_file(path: Option<&Path>) -> Result<()> {
    if let Some(path) = path {
        KEY.get_or_init({
            let key = read_key(path)?;
            || key
        });
    }
    Ok(())
}

/// The key in the file at `path`: 64 hexadecimal digits, or a passphrase.
pub(crate) fn read_key(path: &Path) -> Result<Key> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| Error::io("open", name.clone(), e))?;
    let mut content = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut content).map_err(|e| Error::io("read", name.clone(), e))?;
    if content.len() as u64 > MAX_FILE {
        let message = format!("{name} has over {MAX_FILE} bytes; a key file holds one line");
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    Key::of_file(&content).map_err(|e| Error::new(e.kind(), format!("{name}: {e}")))
}

pub(crate) fn key() -> Option<&'static Key> {
    KEY.get()
}

/// Opens for writing; makes the directory if there is none.
pub(crate) fn open(dir: &Path) -> Result<KeyedDiskStorage> {
    KeyedDiskStorage::open(dir, key())
}

/// Opens for reading, beside whoever writes.
pub(crate) fn open_read_only(dir: &Path) -> Result<KeyedDiskStorage> {
    KeyedDiskStorage::open_read_only(dir, key())
}
