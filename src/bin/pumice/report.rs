//! stats and verify: what a database holds, and whether it is sound.

use crate::Outcome;
use crate::args::{Report, Verify};
use crate::output::{Notes, Output, Progress};
use crate::place;
use crate::read;
use pumice::{Error, ErrorKind, Result, Torn, Verification, blocking};
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) fn stats(args: &Report, notes: &mut Notes) -> Result<Outcome> {
    let stats = read::open(&args.db, notes)?.stats()?;
    let mut out = Output::default();
    if args.json {
        out.line(to_json(&stats)?.as_bytes())?;
    } else {
        let rows = [
            ("documents", stats.documents),
            ("sequence", stats.sequence),
            ("log bytes", stats.log_bytes),
            ("snapshot bytes", stats.snapshot_bytes),
            ("segments", stats.segments),
            ("snapshots", stats.snapshots),
        ];
        for (name, value) in rows {
            out.line(format!("{name:<15} {value:>15}").as_bytes())?;
        }
    }
    out.finish()?;
    Ok(Outcome::Done)
}

pub(crate) fn verify(args: &Verify, notes: &mut Notes) -> Result<Outcome> {
    let storage = place::open_read_only(&args.report.db)?;
    let progress = Progress::spinner("verifying");
    let found = blocking::verify(storage)?;
    drop(progress);
    if let Some(torn) = &found.torn {
        notes.add(read::describe(torn));
    }
    let mut out = Output::default();
    if args.report.json {
        out.line(to_json(&as_json(&found))?.as_bytes())?;
    } else {
        for damage in &found.damage {
            out.line(format!("damaged: {}", one_line(&damage.to_string())).as_bytes())?;
        }
        if found.more_damage > 0 {
            out.line(format!("damaged: {} more places", found.more_damage).as_bytes())?;
        }
        let Verification { segments, records, snapshots, bytes, .. } = &found;
        let verdict = if found.is_sound() { "sound" } else { "checked" };
        let checked = format!(
            "{verdict}: {segments} segments, {records} records, {snapshots} snapshots, {bytes} bytes"
        );
        out.line(checked.as_bytes())?;
    }
    out.finish()?;
    Ok(if found.is_sound() { Outcome::Done } else { Outcome::No })
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn as_json(found: &Verification) -> Value {
    let damage = |e: &Error| json!({"file": e.file(), "offset": e.offset(), "message": e.message()});
    let torn = |t: &Torn| json!({"file": t.file, "offset": t.offset, "bytes": t.bytes, "reason": t.reason});
    json!({
        "sound": found.is_sound(),
        "damage": found.damage.iter().map(damage).collect::<Vec<_>>(),
        "more_damage": found.more_damage,
        "torn": found.torn.as_ref().map(torn),
        "segments": found.segments,
        "records": found.records,
        "snapshots": found.snapshots,
        "bytes": found.bytes,
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::Io, format!("cannot write JSON: {e}")))
}
