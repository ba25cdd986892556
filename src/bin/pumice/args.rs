//! What may be typed, and its help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
Put -- before a key that begins with a hyphen."
)]
pub(crate) struct Cli {
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
    Restore(Restore),
    Import(Import),
    Export(Export),
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
  pumice scan app orders --prefix 2026-03- --reverse --limit 10")]
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
}

/// Print the log's records as they stand
///
/// The log begins anew when it is compacted into a snapshot; asking for records that it no longer holds fails.
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

/// Make a database of a snapshot file
///
/// The file is checked completely first. The database is built beside DB and is there when it is complete; DB must not
/// be there, or be an empty directory.
#[derive(Args)]
#[command(after_help = "Example:\n  pumice restore notes.snapshot app")]
pub(crate) struct Restore {
    /// The snapshot file
    #[arg(value_name = "SNAPSHOTFILE")]
    pub(crate) snapshot: PathBuf,
    /// The new database's directory
    pub(crate) db: PathBuf,
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
