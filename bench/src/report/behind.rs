//! Why Pumice is not first where it is not, and what is to be tried next. Said of a row only in a run in which it is so.

/// A row's reason and the next thing to try.
pub struct Behind {
    pub work: &'static str,
    pub reason: &'static str,
    pub next: &'static str,
}

const fn behind(work: &'static str, reason: &'static str, next: &'static str) -> Behind {
    Behind { work, reason, next }
}

const ONE_SYNC: &str =
    "each put waits for a sync of its own, as in every other engine and in the raw append: the disk decides";
const SHARED: &str = "who waits is woken one after the other when a sync ends, and the next sync begins when the first of them is back";
const SHARED_NEXT: &str = "let the leader begin the next sync before it wakes those of the last one";

pub const BEHIND: [Behind; 21] = [
    behind(
        "durable put, 1 writer",
        ONE_SYNC,
        "write around the file system's journal (`O_DIRECT`, ahead of the tail)",
    ),
    behind("durable put, 32 writers", SHARED, SHARED_NEXT),
    behind(
        "durable put, flush + 1 ms, 1 writer",
        ONE_SYNC,
        "nothing: more than one put for each sync cannot be promised",
    ),
    behind("durable put, flush + 1 ms, 8 writers", SHARED, SHARED_NEXT),
    behind("durable put, flush + 1 ms, 32 writers", SHARED, SHARED_NEXT),
    behind(
        "durable batches of 1,000",
        "each document is checked to be JSON, and goes into an ordered map in memory; emdb hashes, and the raw append keeps nothing",
        "sort a batch and merge it into the map in one pass",
    ),
    behind(
        "buffered puts",
        "as for batches: JSON is checked, and the map is ordered",
        "fill the map from the queue in the background, in order",
    ),
    behind(
        "bytes written for one durable put",
        "a sync writes at least one page of 4 KiB, so a single put costs that in any log",
        "nothing: several writers share a page already",
    ),
    behind(
        "open to first get, clean, warm",
        "a directory is listed, a lock taken, and log, end mark and snapshot are opened and checked, where LMDB maps one file",
        "read header, footer and root of a snapshot in one call",
    ),
    behind("the same, cold cache", "as warm: more files than one are read", "as warm"),
    behind(
        "the same, after a kill",
        "the log's tail is replayed into memory, 16 MB of it here; LMDB and SQLite find their last commit in a page",
        "index the tail by the hashes of its keys first, and order it when a scan comes",
    ),
    behind(
        "open to first put",
        "what the log's end holds is made durable in a segment of its own before anything is written behind it",
        "carry records over when the first write comes, beside its sync",
    ),
    behind(
        "point get, 1 thread",
        "a value is read by a call to the system, checked, and copied; LMDB and emdb hand out mapped or held memory, unchecked",
        "map snapshots into memory, in one small module of unsafe code",
    ),
    behind(
        "memory that those gets leave, without file pages",
        "leaves of the index are kept, 32 MiB at most; those of the engines that map files are file pages",
        "the map of the row before",
    ),
    behind(
        "ordered scan",
        "pages are read by calls and every value is checked by its checksum; LMDB shows mapped memory unchecked",
        "the same map, and one checksum for the values of a page",
    ),
    behind(
        "memory after open",
        "the end of the log, the root of the index and a thread for the background; as much as redb takes",
        "nothing",
    ),
    behind(
        "disk at rest",
        "values stand as they are; packed, below, they take less than half, for scans and compactions that take nearly twice as long",
        "pack what has not been written or scanned for long",
    ),
    behind("churn", "as for batches, and compactions take one of two cores meanwhile", "as for batches"),
    behind(
        "longest put while a compaction runs",
        "the compaction's syncs and those of the puts share one disk, and its merging one of two cores",
        "sync in smaller pieces than 8 MiB",
    ),
    behind(
        "disk after churn and compaction",
        "values stand as they are, where fjall compresses its blocks; packed, they take less than half",
        "as for the disk at rest",
    ),
    behind(
        "compaction of all documents",
        "everything is merged, checked, written, and read back before anything is removed; LMDB's is a copy of pages",
        "read back beside the writing, on the other core",
    ),
];

/// What is known of the row's work.
pub fn of(work: &str) -> Option<&'static Behind> {
    BEHIND.iter().find(|behind| behind.work == work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows::ROWS;

    #[test]
    fn each_reason_is_of_a_row() {
        for behind in &BEHIND {
            assert!(ROWS.iter().any(|row| row.work == behind.work), "{}", behind.work);
        }
    }
}
