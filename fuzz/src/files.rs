//! Databases made of a fuzzer's bytes: files with plausible names, mended as far as the input asks for.
//!
//! An input is a row of files, each `kind, number, flags, length (u16), bytes`. The last one may be cut short.

use crate::{log, snapshot};
use pumice::{MemoryStorage, Storage};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// What the first byte of a file says.
pub const SEGMENT: u8 = 0;
pub const SNAPSHOT: u8 = 1;
pub const END_MARK: u8 = 2;
pub const OTHER: u8 = 3;

/// Mend checksums.
pub const CHECKSUMS: u8 = 1;
/// Mend the chain of a segment, the places of a snapshot's parts.
pub const CHAIN: u8 = 2;
/// Give a snapshot the range that its name says.
pub const RANGE: u8 = 4;
/// A later generation of a segment, a snapshot on top of the one before.
pub const LATER: u8 = 8;

/// One file of an input.
pub struct File<'a> {
    pub kind: u8,
    pub number: u8,
    pub flags: u8,
    pub bytes: &'a [u8],
}

/// The files of an input.
pub fn split(mut input: &[u8]) -> Vec<File<'_>> {
    let mut files = Vec::new();
    while let Some((&[kind, number, flags, low, high], rest)) = input.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, behind) = rest.split_at(len);
        files.push(File { kind: kind % 4, number, flags, bytes });
        input = behind;
    }
    files
}

/// The input that [`split`] takes apart.
pub fn join(files: &[File<'_>]) -> Vec<u8> {
    let mut input = Vec::new();
    for file in files {
        let [low, high] = u16::try_from(file.bytes.len()).expect("a small file").to_le_bytes();
        input.extend_from_slice(&[file.kind, file.number, file.flags, low, high]);
        input.extend_from_slice(file.bytes);
    }
    input
}

/// Storage that holds the files of an input.
pub fn storage_of(input: &[u8]) -> MemoryStorage {
    let storage = MemoryStorage::new();
    let mut link = log::Link::START;
    let mut covered = 0;
    for file in split(input) {
        let number = number_of(file.number);
        let has = |flag: u8| file.flags & flag != 0;
        let (name, bytes) = match file.kind {
            SEGMENT => {
                let mending = log::Mending { checksums: has(CHECKSUMS), chain: has(CHAIN) };
                if has(CHAIN) && !has(LATER) && link.next <= covered {
                    link = log::Link { next: covered.saturating_add(1), ..link };
                }
                let (bytes, next) = log::segment(file.bytes, mending, link);
                let first = if has(CHAIN) { link.next } else { number };
                let later = if has(LATER) { format!("-{}", 1 + file.number % 3) } else { String::new() };
                link = next;
                (format!("{first:020}{later}.log"), bytes)
            }
            SNAPSHOT => {
                let base = if has(LATER) { covered } else { 0 };
                let sequence = number.max(base.saturating_add(1));
                let range = has(RANGE).then_some((base, sequence));
                let mending = snapshot::Mending { checksums: has(CHECKSUMS), places: has(CHAIN), range };
                let bytes = snapshot::mend(file.bytes, mending);
                covered = sequence;
                let on_top = if base > 0 { format!("-{base:020}") } else { String::new() };
                (format!("{sequence:020}{on_top}.snapshot"), bytes)
            }
            END_MARK => (format!("{number:020}-{}.end", 1 + file.flags % 3), file.bytes.to_vec()),
            _ => {
                let names =
                    ["quarantine/00000000000000000001.log.0", "LOCK", "x.log", "archive/old.snapshot"];
                (names[usize::from(file.number) % names.len()].to_owned(), file.bytes.to_vec())
            }
        };
        put(&storage, &name, &bytes);
    }
    storage
}

/// A small number, or one of the last two there are.
fn number_of(byte: u8) -> u64 {
    if byte < 254 { u64::from(byte) } else { u64::MAX - u64::from(255 - byte) }
}

/// Makes a file, or replaces it.
pub fn put(storage: &MemoryStorage, name: &str, bytes: &[u8]) {
    at_once(async {
        let _ = storage.remove(name).await;
        storage.create(name).await?;
        storage.append(name, bytes).await
    })
    .expect("memory takes any file");
}

/// The files as they stand, by name.
pub fn contents(storage: &MemoryStorage) -> Vec<(String, Vec<u8>)> {
    at_once(async {
        let mut files = Vec::new();
        for name in storage.list().await.expect("memory lists") {
            let bytes = storage.read_at(&name, 0, usize::MAX).await.expect("memory reads");
            files.push((name, bytes));
        }
        files.sort();
        files
    })
}

/// Other storage with the same files.
pub fn copy_of(storage: &MemoryStorage) -> MemoryStorage {
    let copy = MemoryStorage::new();
    for (name, bytes) in contents(storage) {
        put(&copy, &name, &bytes);
    }
    copy
}

/// Memory is ready at the first poll.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("memory never waits"),
    }
}
