//! A snapshot, opened as the only one of a database and read in every way. The first byte says how much is mended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumice::blocking::{self, Db};
use pumice::{ErrorKind, Keys, MemoryStorage, Options, RecoveryMode, Result};
use pumice_fuzz::{bounded, files, log, snapshot};

fuzz_target!(|input: &[u8]| {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let range = (flags & 4 == 4).then_some((0, 100));
    let mending = snapshot::Mending { checksums: flags & 1 == 1, places: flags & 2 == 2, range };
    let file = snapshot::mend(bytes, mending);
    let Some((_, sequence, store)) = snapshot::identity(&file) else { return };
    let storage = MemoryStorage::new();
    files::put(&storage, &format!("{sequence:020}.snapshot"), &file);
    files::put(&storage, &format!("{:020}.log", sequence.saturating_add(1)), &empty_segment(sequence, store));
    bounded(file.len(), || {
        let _ = read(&storage);
        if let Err(error) = blocking::verify(storage.clone()) {
            assert_eq!(error.kind(), ErrorKind::Version, "damage is part of the answer: {error}");
        }
    });
    bounded(file.len(), || {
        let options = Options::new().recovery(RecoveryMode::Salvage);
        Db::open_with(storage.clone(), options).expect("salvage shows what there is");
    });
});

/// The log behind the snapshot: a header and nothing else.
fn empty_segment(sequence: u64, store: [u8; 16]) -> Vec<u8> {
    let store: String = store.iter().map(|byte| format!("{byte:02x}")).collect();
    let header = format!(
        "{{\"pumice\":1,\"store\":\"{store}\",\"epoch\":1,\"first\":{},\"previous\":\"00000000\",\"previous_bytes\":0,\
         \"carried_bytes\":0,\"_t\":0,\"cmd\":\"HEADER\",\"collection\":\"\",\"key\":\"\",\"value\":null",
        sequence.saturating_add(1)
    );
    let mut line = log::line(header.as_bytes());
    line.push(b'\n');
    line
}

/// Reads all there is in all ways; where both succeed, two ways must agree.
fn read(storage: &MemoryStorage) -> Result<()> {
    // A small cache, so that blocks are also read again.
    let db = Db::open_with(storage.clone(), Options::new().read_only(true).cache_bytes(4096))?;
    let view = db.read_view();
    let mut scanned = 0_u64;
    let mut samples = Vec::new();
    let whole = view.for_each_of_all_raw(|collection, key, text| {
        scanned += 1;
        if scanned.is_power_of_two() {
            samples.push((collection.to_owned(), key.to_owned(), text.to_owned()));
        }
        Ok(())
    });
    let sound = db.verify()?.is_sound();
    for (collection, key, text) in &samples {
        let got = view.get_raw(collection, key);
        if sound && !key.is_empty() {
            assert_eq!(got?.as_deref(), Some(&**text));
        }
        let _ = view.count(collection, Keys::all());
        let mut backwards = Vec::new();
        for entry in view.scan::<serde_json::Value>(collection, Keys::all().reverse())?.raw() {
            backwards.push(entry?.key);
        }
        assert!(backwards.windows(2).all(|pair| pair[0] > pair[1]), "a reverse scan is out of order");
    }
    let stats = db.stats()?;
    let collections = db.collections()?;
    if sound {
        whole?;
        assert_eq!(stats.documents, scanned);
        assert_eq!(collections.is_empty(), scanned == 0);
    }
    db.close()
}
