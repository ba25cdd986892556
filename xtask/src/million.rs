//! `cargo xtask million`: each command on a million documents, how long it takes, and that what comes of it is the same.

use crate::cities::{Pumice, Report, Run};
use crate::setup;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use xshell::Shell;

const DOCUMENTS: usize = 1_000_000;
const COLLECTION: &str = "users";

pub fn run(sh: &Shell) -> Result<()> {
    let binary = setup::binary(sh, "release", "pumice")?;
    let dir = setup::target_dir(sh)?.join("million");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let mut all = Million { binary, dir, report: Report::default(), expected: String::new() };
    all.plain()?;
    all.moltendb()?;
    all.damaged()?;
    all.encrypted()?;
    print!("\n{}", all.report);
    println!(
        "\nEvery database that was made holds the same {DOCUMENTS} documents, byte for byte. All of it is in {}",
        all.dir.display()
    );
    Ok(())
}

struct Million {
    binary: PathBuf,
    dir: PathBuf,
    report: Report,
    /// What a scan of all documents prints.
    expected: String,
}

impl Million {
    fn path(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name).into_os_string().into_string();
        path.ok().context("the target directory has a name that is not UTF-8")
    }

    fn database(&self, name: &str) -> Pumice {
        Pumice::new(self.binary.clone(), self.dir.join(name))
    }

    /// Runs a command whose first argument is the database `name`.
    fn step(&mut self, step: &str, name: &str, command: &str, args: &[&str]) -> Result<Run> {
        let db = self.database(name);
        let run = db.run(command, args)?;
        self.report.add(step, Some(DOCUMENTS), db.bytes()?, &run);
        Ok(run)
    }

    /// Scans the database `name`, which must hold what was loaded.
    fn same(&mut self, name: &str, args: &[&str]) -> Result<()> {
        let scan = self.database(name).run("scan", &[&[COLLECTION], args].concat())?;
        ensure!(scan.stdout == self.expected, "{name} holds something else than what was loaded");
        Ok(())
    }

    fn plain(&mut self) -> Result<()> {
        let input = self.path("input.jsonl")?;
        write_documents(Path::new(&input))?;
        self.step("load", "db", "load", &[&input])?;
        let scan = self.step("scan", "db", "scan", &[COLLECTION])?;
        ensure!(scan.stdout.lines().count() == DOCUMENTS, "the scan shows another number of documents");
        self.expected = scan.stdout;
        self.step("verify", "db", "verify", &[])?;
        self.step("compact", "db", "compact", &[])?;
        self.same("db", &[])?;
        let stats = self.step("stats", "db", "stats", &["--json"])?;
        let stats: Value = serde_json::from_str(&stats.stdout)?;
        let sequence = stats["sequence"].as_u64().context("`stats --json` tells no sequence")?.to_string();

        self.step("retention to be all", "db", "retention", &["--keep", "3650d"])?;
        let backups = self.path("backups")?;
        self.step("backup", "db", "backup", &[&backups])?;
        self.step("put, afterwards", "db", "put", &[COLLECTION, "later", "1"])?;
        self.step("backup, the next one", "db", "backup", &[&backups])?;
        self.step("scan --at", "db", "scan", &[COLLECTION, "--at", &sequence])?;
        self.same("db", &["--at", &sequence])?;
        self.restored(&backups, &sequence)
    }

    /// `restore` has the database as its second argument.
    fn restored(&mut self, backups: &str, sequence: &str) -> Result<()> {
        let target = self.path("restored")?;
        let from = Pumice::new(self.binary.clone(), PathBuf::from(backups));
        let run = from.run("restore", &[&target, "--at", sequence])?;
        self.report.add("restore --at", Some(DOCUMENTS), self.database("restored").bytes()?, &run);
        self.same("restored", &[])
    }

    fn moltendb(&mut self) -> Result<()> {
        let (db, log, back) = (self.path("restored")?, self.path("moltendb.log")?, self.path("imported")?);
        let to = Pumice::new(self.binary.clone(), PathBuf::from("moltendb"));
        let run = to.run("export", &[&db, &log])?;
        // The log, empty as after a compaction, and the snapshot beside it.
        let bytes = fs::metadata(&log)?.len() + fs::metadata(format!("{log}.snapshot.bin"))?.len();
        self.report.add("export moltendb", Some(DOCUMENTS), bytes, &run);
        let run = to.run("import", &[&log, &back])?;
        self.report.add("import moltendb", Some(DOCUMENTS), self.database("imported").bytes()?, &run);
        self.same("imported", &[])
    }

    /// A cut through the last line of a log, and a flipped bit in a snapshot.
    fn damaged(&mut self) -> Result<()> {
        let input = self.path("input.jsonl")?;
        self.step("load, a second one", "torn", "load", &[&input])?;
        let torn = self.dir.join("torn");
        for mark in files(&torn, ".end")? {
            fs::remove_file(mark)?;
        }
        let log = files(&torn, ".log")?.pop().context("the database has no log")?;
        OpenOptions::new().append(true).open(&log)?.write_all(b"{\"_s\":9999999,\"_p\":\"0123")?;
        self.step("repair --mode torn-tail", "torn", "repair", &["--mode", "torn-tail"])?;
        self.same("torn", &[])?;

        self.step("compact, the second one", "torn", "compact", &[])?;
        let snapshot = files(&torn, ".snapshot")?.pop().context("the database has no snapshot")?;
        flip(&snapshot)?;
        ensure!(self.database("torn").run("verify", &[]).is_err(), "a flipped bit is not noticed");
        let db = self.database("torn");
        let (run, status) = db.run_to_any_end("repair", &["--mode", "salvage"])?;
        ensure!(status.code() == Some(1), "salvage tells no loss: {status}");
        let left = run.stdout.lines().count();
        self.report.add("repair --mode salvage", Some(left), db.bytes()?, &run);
        ensure!(
            (DOCUMENTS - 1000..DOCUMENTS).contains(&left),
            "salvage shows {left} documents of {DOCUMENTS}"
        );
        Ok(())
    }

    fn encrypted(&mut self) -> Result<()> {
        let (input, key, new_key) = (self.path("input.jsonl")?, self.path("key")?, self.path("new-key")?);
        fs::write(&key, "correct horse battery staple")?;
        fs::write(&new_key, "11".repeat(32))?;
        self.step("load, encrypted", "sealed", "load", &[&input, "--key-file", &key])?;
        self.step("verify, encrypted", "sealed", "verify", &["--key-file", &key])?;
        self.step("compact, encrypted", "sealed", "compact", &["--key-file", &key])?;
        self.step("rekey", "sealed", "rekey", &["--key-file", &key, "--new-key-file", &new_key])?;
        self.same("sealed", &["--key-file", &new_key])
    }
}

/// About 250 bytes each, in the order of their keys.
fn write_documents(path: &Path) -> Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut random: u64 = 0x5eed;
    for n in 0..DOCUMENTS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = (random >> 40, random >> 20 & 0xfffff);
        writeln!(
            out,
            "{{\"collection\":\"{COLLECTION}\",\"key\":\"user/{n:07}\",\"value\":{{\"id\":{n},\"name\":\"Name {a}\",\
             \"mail\":\"name.{a}@example.org\",\"age\":{},\"active\":{},\"score\":{}.{},\"tags\":[\"a{}\",\"b{}\"],\
             \"notes\":\"{}\"}}}}",
            a % 90,
            b % 2 == 0,
            b % 100,
            a % 10_000,
            a % 7,
            b % 11,
            "so many words as make a document of this length, number ".repeat(2) + &b.to_string(),
        )?;
    }
    Ok(out.flush()?)
}

/// The files of a folder with such an ending, in order.
fn files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_str().is_some_and(|name| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One bit in the middle of the file.
fn flip(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(middle))?;
    Ok(file.write_all(&[byte[0] ^ 1])?)
}
