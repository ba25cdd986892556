//! What may be typed, and its help.

use crate::moment;
use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pumice::Moment;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// An embedded JSON document database
#[derive(Parser)]
#[command(
    name = "pumice",
    version,
    after_help = "\
Examples:
  pumice put app users u1 '{\"name\":\"Ada\"}'
  pumice get app users u1
  pumice scan app users --prefix u | head
  pumice load app people.json --collection people --key id

DB is a directory. Exit codes: 0 done, 1 missing or damaged, 2 failed with one line on stderr.
Put -- before a key that begins with a hyphen. With --key-file, new databases are encrypted."
)]
pub(crate) struct Cli {
    /// The database is encrypted, with the key in this file: 64 hexadecimal digits, or a passphrase
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Put(Put),
    Get(Document),
    Del(Delete),
    Drop(Collection),
    Scan(Scan),
    Load(Load),
    Stats(Report),
    Verify(Verify),
    Compact(Compact),
    Log(Log),
    Backup(Backup),
    Restore(Restore),
    Import(Import),
    Export(Export),
    Retention(Retention),
    Repair(Repair),
    Rekey(Rekey),
}

/// Store one document, replacing any before it
///
/// Creates the database if it is not there. The document is durable when the command ends.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice put app users u1 '{\"name\":\"Ada\",\"born\":1815}'")]
pub(crate) struct Put {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The collection's name
    pub(crate) collection: String,
    /// The document's key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    /// The document as JSON; read from stdin if it is - or left out
    #[arg(allow_negative_numbers = true)]
    pub(crate) json: Option<String>,
}

/// Print one document's JSON
///
/// Exits 1 and prints nothing if there is no such document.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice get app users u1")]
pub(crate) struct Document {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The collection's name
    pub(crate) collection: String,
    /// The document's key
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
}

/// Delete one document
///
/// Exits 1 if there is no such document.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice del app users u1")]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) document: Document,
}

/// Delete all documents of a collection
#[derive(Args)]
#[command(after_help = "Example:\n  pumice drop app users")]
pub(crate) struct Collection {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The collection's name
    pub(crate) collection: String,
}

/// Print documents in key order, one JSON line each
///
/// Prints {"collection":..,"key":..,"value":..} lines, which `load` reads. Keys are ordered by their UTF-8 bytes.
/// Without COLL all collections are printed, in order of their names.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice scan app
  pumice scan app users --from a --to b
  pumice scan app orders --prefix 2026-03- --reverse --limit 10
  pumice scan app --at 2026-03-01T12:00:00+01:00")]
pub(crate) struct Scan {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The collection's name; all of them if left out
    #[arg(value_name = "COLL")]
    pub(crate) collection: Option<String>,
    /// Only keys that begin with this; needs COLL
    #[arg(long, requires = "collection", allow_hyphen_values = true)]
    pub(crate) prefix: Option<String>,
    /// Only this key and those behind it; needs COLL
    #[arg(long, value_name = "KEY", requires = "collection", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Only keys before this one; needs COLL
    #[arg(long, value_name = "KEY", requires = "collection", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// Last key first; needs COLL
    #[arg(long, requires = "collection")]
    pub(crate) reverse: bool,
    /// At most N documents
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// As of an earlier moment: after the record SEQ, or at a TIME such as 2026-03-01T12:00:00Z
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment::parse)]
    pub(crate) at: Option<Moment>,
}

/// Store many documents from a file or from stdin
///
/// Reads {"collection":..,"key":..,"value":..} lines as `scan` prints them; with --collection and --key, plain JSON
/// documents instead, one a line or all in one array. Blank lines are skipped. Creates the database if it is not
/// there.
///
/// Each batch is stored as a whole or not at all. A line that cannot be stored ends the load and is named by its
/// number; the batches before its own stay.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice scan app | pumice load copy
  pumice load app people.json --collection people --key id
  producer | pumice load app - --acks")]
pub(crate) struct Load {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The file to read; stdin if it is - or left out
    pub(crate) file: Option<PathBuf>,
    /// Read plain documents and store them in this collection; needs --key
    #[arg(long, value_name = "C", requires = "key")]
    pub(crate) collection: Option<String>,
    /// The member of each plain document, a string, that is its key; it stays in the document
    #[arg(long, value_name = "FIELD", requires = "collection")]
    pub(crate) key: Option<String>,
    /// Lines that are stored together or not at all; in an array, documents
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) batch: NonZeroUsize,
    /// How soon batches go to disk: each as soon as the disk can, or a few together, shortly after
    #[arg(long, value_enum, default_value = "disk")]
    pub(crate) durability: Durability,
    /// Print how many input lines are safely on disk, a number a line, whenever there are more
    #[arg(long)]
    pub(crate) acks: bool,
    #[command(flatten)]
    pub(crate) hook: Hook,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Durability {
    Disk,
    Buffered,
}

/// Print counts and sizes
#[derive(Args)]
#[command(after_help = "Example:\n  pumice stats app --json")]
pub(crate) struct Report {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// Print one JSON object on one line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Read and check every byte that counts
///
/// Exits 0 if the database is sound and 1 if it is damaged; each damage is a line with file and offset. What a crash
/// leaves behind the last record is noted and is no damage.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice verify app && cp -r app backup")]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Merge the log and all snapshots into one snapshot
#[derive(Args)]
#[command(after_help = "Example:\n  pumice compact app")]
pub(crate) struct Compact {
    /// The database's directory
    pub(crate) db: PathBuf,
    #[command(flatten)]
    pub(crate) hook: Hook,
}

/// Print the log's records as they stand
///
/// The log begins anew when it is compacted into a snapshot; records from before are shown if the database keeps its past
/// (`pumice retention`), and asking for others fails.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice log app | tail -3
  pumice log app --after 1041 --follow")]
pub(crate) struct Log {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// Only records after this sequence number
    #[arg(long, value_name = "SEQ")]
    pub(crate) after: Option<u64>,
    /// Go on with new records as they are written, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print header and seal lines too
    #[arg(long)]
    pub(crate) all: bool,
}

/// Copy the database to a directory of backups, and read the copy back
///
/// Works beside whoever writes to the database. The directory takes any number of backups of one database: files that are
/// there already are not copied again, none is replaced, and what is older than the database's retention goes.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice backup app /mnt/backups/app")]
pub(crate) struct Backup {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The directory of backups; made if it is not there
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) hook: Hook,
}

/// Make a database of a backup, or of a snapshot file
///
/// Everything is checked first. The database is built beside DB and is there when it is complete; DB must not be there,
/// or be an empty directory.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice restore /mnt/backups/app app
  pumice restore /mnt/backups/app yesterday --at 2026-03-01T12:00:00Z
  pumice restore notes.snapshot app")]
pub(crate) struct Restore {
    /// The directory of backups, or the snapshot file; a database whose past is kept will do as well
    #[arg(value_name = "DIR|SNAPSHOTFILE")]
    pub(crate) source: PathBuf,
    /// The new database's directory
    pub(crate) db: PathBuf,
    /// As of an earlier moment: after the record SEQ, or at a TIME such as 2026-03-01T12:00:00Z
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment::parse)]
    pub(crate) at: Option<Moment>,
}

/// Print or change how much of its past the database keeps
///
/// Without an option it prints the setting. Off, as in a new database, only what is needed for safety is kept. Otherwise
/// what snapshots have replaced goes to the folder archive, where `scan --at`, `restore --at`, `log` and `backup` find it,
/// until it is beyond a limit that is given. The setting becomes exactly what is given.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice retention app --keep 7d --max-bytes 1GiB
  pumice retention app --off")]
pub(crate) struct Retention {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// Keep what is needed to go back so far: 7d, 12h, 90min
    #[arg(long, value_name = "TIME", value_parser = moment::parse_span)]
    pub(crate) keep: Option<Duration>,
    /// Keep at most so many bytes: 1GiB, 500MB
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_bytes: Option<ByteSize>,
    /// Keep nothing of the past, and remove what was kept
    #[arg(long, conflicts_with_all = ["keep", "max_bytes"])]
    pub(crate) off: bool,
}

/// Make a damaged database usable again
///
/// Nothing is deleted: what is given up is copied to the folder quarantine. `pumice verify` tells what is damaged.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice repair app --mode salvage > documents.jsonl
  pumice repair app --mode point-in-time")]
pub(crate) struct Repair {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// How
    #[arg(long, value_enum)]
    pub(crate) mode: RepairMode,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RepairMode {
    /// Set aside what a crash left behind the last record; refuse any other damage
    TornTail,
    /// Keep what stands before the first damage, and give up everything behind it
    PointInTime,
    /// Change nothing: print the documents that can still be read, as `scan` does; exit 1 if something could not
    Salvage,
}

/// Change the key of an encrypted database
///
/// Needs the key that opens it now, --key-file. No data is written anew: the key opens the database's own key. Backups go on to open
/// with the old one until the next is made.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice rekey app --key-file old.key --new-key-file new.key")]
pub(crate) struct Rekey {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The file with the key that is to open it from now on
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: PathBuf,
}

/// What to run when a new snapshot is there
#[derive(Args)]
pub(crate) struct Hook {
    /// Run this program, an absolute path, with these arguments and the new file's path behind them, and with an empty
    /// environment; its failure is told and changes nothing. Put it last
    #[arg(long, num_args = 1.., value_name = "PROGRAM ARG", allow_hyphen_values = true)]
    pub(crate) on_snapshot: Vec<OsString>,
    /// How long the program may take before it is stopped
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = moment::parse_span)]
    pub(crate) on_snapshot_timeout: Duration,
}

/// Make a database of another one's files
#[derive(Args)]
#[command(after_help = "Example:\n  pumice import moltendb old/app.log app")]
pub(crate) struct Import {
    #[command(subcommand)]
    pub(crate) from: ImportFrom,
}

#[derive(Subcommand)]
pub(crate) enum ImportFrom {
    Moltendb(FromMoltendb),
}

/// Make a database of the files of MoltenDB 0.7 to 0.10
///
/// Reads the log, and the snapshot LOG.snapshot.bin beside it. The database is built beside DB and is there when it is
/// complete; DB must not be there, or be an empty directory. Transactions that were never committed are left out, and so is
/// a torn line at the end of the log, as a crash leaves it; both are noted.
#[derive(Args)]
#[command(after_help = "\
Examples:
  pumice import moltendb old/app.log app
  pumice import moltendb old/app.log app --skip-damaged")]
pub(crate) struct FromMoltendb {
    /// MoltenDB's log
    pub(crate) log: PathBuf,
    /// The new database's directory
    pub(crate) db: PathBuf,
    /// Pass over what is damaged, encrypted, or cannot be stored, and say how much that was
    #[arg(long)]
    pub(crate) skip_damaged: bool,
}

/// Write a database as another one's files
#[derive(Args)]
#[command(after_help = "Example:\n  pumice export moltendb app again/app.log")]
pub(crate) struct Export {
    #[command(subcommand)]
    pub(crate) to: ExportTo,
}

#[derive(Subcommand)]
pub(crate) enum ExportTo {
    Moltendb(ToMoltendb),
}

/// Write all documents as files that MoltenDB 0.7 to 0.10 opens
///
/// Writes an empty log and the snapshot LOG.snapshot.bin beside it, which must both not be there. They are there when
/// they are complete.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice export moltendb app again/app.log")]
pub(crate) struct ToMoltendb {
    /// The database's directory
    pub(crate) db: PathBuf,
    /// The new log
    pub(crate) log: PathBuf,
}
