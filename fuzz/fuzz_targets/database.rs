//! A database of arbitrary files: opened in every mode, read, verified, and opened for writing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice::blocking::{self, Db, LogLines};
use pumice::{MemoryStorage, Options, RecoveryMode, Result};
use pumice_fuzz::{bounded, files};
use std::collections::BTreeMap;

type Documents = BTreeMap<(String, String), String>;

fuzz_target!(|input: &[u8]| {
    let storage = files::storage_of(input);
    let bytes = files::contents(&storage).iter().map(|(_, bytes)| bytes.len()).sum();
    let shown = bounded(bytes, || read(&storage, RecoveryMode::TornTail).ok());
    bounded(bytes, || drop(read(&storage, RecoveryMode::Salvage)));
    let verified = bounded(bytes, || blocking::verify(storage.clone()));
    let sound = verified.is_ok_and(|verified| verified.is_sound());
    assert!(!sound || shown.is_some() || bytes == 0 || is_empty(&storage), "sound, and cannot be read");
    bounded(bytes, || {
        if let Ok(mut lines) = LogLines::open(storage.clone(), None, true) {
            let _ = lines.read(|_| Ok(()));
        }
    });
    for mode in [RecoveryMode::Strict, RecoveryMode::TornTail, RecoveryMode::PointInTime] {
        let copy = files::copy_of(&storage);
        let options = Options::new().recovery(mode).compact_at(None);
        let Ok(db) = Db::open_with(copy.clone(), options) else { continue };
        let Ok(before) = documents(&db) else { continue };
        if sound && mode != RecoveryMode::PointInTime {
            assert_eq!(Some(&before), shown.as_ref(), "opening for writing changed what is there");
        }
        db.collection("written").put_raw("after", "[1]").expect("a write after opening");
        db.close().expect("a clean end");
        let db =
            Db::open_with(copy.clone(), Options::new().read_only(true)).expect("opens after a clean end");
        assert!(!db.recovery().unclean && db.recovery().torn.is_none());
        let mut after = documents(&db).expect("reads after a clean end");
        after.remove(&("written".to_owned(), "after".to_owned())).expect("the write is there");
        let mut before = before;
        before.remove(&("written".to_owned(), "after".to_owned()));
        assert_eq!(before, after, "opening for writing lost or invented something");
    }
});

fn is_empty(storage: &MemoryStorage) -> bool {
    files::contents(storage).iter().all(|(name, _)| !name.starts_with('0'))
}

fn read(storage: &MemoryStorage, recovery: RecoveryMode) -> Result<Documents> {
    documents(&Db::open_with(storage.clone(), Options::new().read_only(true).recovery(recovery))?)
}

fn documents(db: &Db<MemoryStorage>) -> Result<Documents> {
    let mut documents = BTreeMap::new();
    db.read_view().for_each_of_all_raw(|collection, key, text| {
        let before = documents.insert((collection.to_owned(), key.to_owned()), text.to_owned());
        assert_eq!(before, None, "a scan shows a document twice");
        Ok(())
    })?;
    Ok(documents)
}
