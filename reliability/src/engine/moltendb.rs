//! The way in which `MoltenDB` up to 0.10 stores documents, written from a description of its format and its order of
//! steps. None of its code is here, and the program itself is not what is measured.
//!
//! A log of JSON lines that is flushed and never synced; a snapshot beside it. A compaction writes the snapshot to a
//! temporary name, moves the old one away, renames the new one into its place, and then empties the log. Opening loads
//! the snapshot and replays the log up to the first line that it cannot read. Nothing has a checksum.

use super::{Documents, Engine};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const LOG: &str = "db.log";
const SNAPSHOT: &str = "db.log.snapshot.bin";
const COLLECTION: &str = "documents";

pub struct Moltendb {
    dir: PathBuf,
    log: File,
    documents: Documents,
    transactions: u64,
}

impl Moltendb {
    pub fn open(dir: &Path) -> Result<Self> {
        let mut documents = Documents::new();
        if dir.join(SNAPSHOT).exists() {
            load_snapshot(&dir.join(SNAPSHOT), &mut documents)?;
        }
        let log = OpenOptions::new().create(true).append(true).read(true).open(dir.join(LOG))?;
        replay(&dir.join(LOG), &mut documents)?;
        Ok(Self { dir: dir.to_owned(), log, documents, transactions: 0 })
    }

    /// One write to the page cache, which it calls synchronous.
    fn append(&mut self, lines: &[Value]) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        self.log.write_all(text.as_bytes())?;
        Ok(self.log.flush()?)
    }
}

impl Engine for Moltendb {
    fn put(&mut self, key: &str, document: &str) -> Result<()> {
        self.append(&[insert(key, document)?])?;
        self.documents.insert(key.to_owned(), document.to_owned());
        Ok(())
    }

    fn put_both(&mut self, documents: &[(String, String); 2]) -> Result<()> {
        self.transactions += 1;
        let id = format!("{}-{}", now(), self.transactions);
        let [first, second] = documents;
        self.append(&[
            line("TX_BEGIN", &id, &Value::Null),
            insert(&first.0, &first.1)?,
            insert(&second.0, &second.1)?,
            line("TX_COMMIT", &id, &Value::Null),
        ])?;
        self.documents.extend(documents.iter().cloned());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<()> {
        self.append(&[line("DELETE", key, &Value::Null)])?;
        self.documents.remove(key);
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        let snapshot = self.dir.join(SNAPSHOT);
        let new = self.dir.join(format!("{SNAPSHOT}.tmp"));
        fs::write(&new, self.snapshot()?)?;
        if snapshot.exists() {
            let backup = self.dir.join("backup");
            fs::create_dir_all(&backup)?;
            fs::rename(&snapshot, backup.join(format!("{SNAPSHOT}.{}.bak", now() / 1000)))?;
        }
        fs::rename(&new, &snapshot)?;
        Ok(self.log.set_len(0)?)
    }

    fn read_all(&mut self) -> Result<Documents> {
        Ok(self.documents.clone())
    }

    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

impl Moltendb {
    fn snapshot(&self) -> Result<Vec<u8>> {
        let mut bytes = b"MOLTSNAP".to_vec();
        bytes.extend(0_u64.to_le_bytes());
        bytes.extend((self.documents.len() as u64).to_le_bytes());
        for (key, document) in &self.documents {
            let entry = insert(key, document)?.to_string();
            bytes.extend((entry.len() as u64).to_le_bytes());
            bytes.extend(entry.as_bytes());
        }
        Ok(bytes)
    }
}

fn insert(key: &str, document: &str) -> Result<Value> {
    Ok(line("INSERT", key, &serde_json::from_str(document)?))
}

fn line(command: &str, key: &str, value: &Value) -> Value {
    json!({"cmd": command, "collection": COLLECTION, "key": key, "value": value, "_t": now()})
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn load_snapshot(path: &Path, documents: &mut Documents) -> Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut magic = [0; 8];
    file.read_exact(&mut magic)?;
    ensure!(&magic == b"MOLTSNAP", "no snapshot");
    let _covered = read_u64(&mut file)?;
    for _ in 0..read_u64(&mut file)? {
        // The length is believed, as the original does.
        let mut entry = vec![0; usize::try_from(read_u64(&mut file)?)?];
        file.read_exact(&mut entry)?;
        apply(&serde_json::from_slice(&entry)?, documents);
    }
    Ok(())
}

fn read_u64(file: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes).context("the snapshot ends early")?;
    Ok(u64::from_le_bytes(bytes))
}

fn replay(path: &Path, documents: &mut Documents) -> Result<()> {
    let mut held_back: Option<Vec<Value>> = None;
    for text in BufReader::new(File::open(path)?).split(b'\n') {
        let Ok(record) = serde_json::from_slice::<Value>(&text?) else { return Ok(()) };
        match (record["cmd"].as_str(), &mut held_back) {
            (Some("TX_BEGIN"), _) => held_back = Some(Vec::new()),
            (Some("TX_COMMIT"), _) => {
                held_back.take().unwrap_or_default().iter().for_each(|record| apply(record, documents));
            }
            (_, Some(records)) => records.push(record),
            (_, None) => apply(&record, documents),
        }
    }
    Ok(())
}

fn apply(record: &Value, documents: &mut Documents) {
    let Some(key) = record["key"].as_str() else { return };
    match record["cmd"].as_str() {
        Some("INSERT") => drop(documents.insert(key.to_owned(), record["value"].to_string())),
        Some("DELETE") => drop(documents.remove(key)),
        _ => {}
    }
}
