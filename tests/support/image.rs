//! The files of a database as values, to compare and to damage.

use super::block_on;
use pumice::{MemoryStorage, Storage};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// The files of a database by name, those in folders with their folder, without the lock.
pub type Image = BTreeMap<String, Vec<u8>>;

pub fn image(dir: &Path) -> Image {
    let mut found = Image::new();
    for folder in ["", "quarantine", "archive"] {
        let Ok(entries) = fs::read_dir(dir.join(folder)) else { continue };
        for entry in entries.map(Result::unwrap).filter(|e| e.file_type().unwrap().is_file()) {
            let name = entry.file_name().into_string().unwrap();
            if name != "LOCK" {
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// A directory with just these files.
pub fn directory(image: &Image) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, bytes) in image {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// The files in `storage` as they are now.
pub fn held(storage: &MemoryStorage) -> Image {
    block_on(async {
        let mut found = Image::new();
        for name in storage.list().await.unwrap() {
            let bytes = storage.read_at(&name, 0, usize::MAX).await.unwrap();
            found.insert(name, bytes);
        }
        found
    })
}

/// A storage in memory with just these files.
pub fn memory(image: &Image) -> MemoryStorage {
    let storage = MemoryStorage::new();
    block_on(async {
        for (name, bytes) in image {
            storage.create(name).await.unwrap();
            storage.append(name, bytes).await.unwrap();
        }
    });
    storage
}
