//! repair: a damaged database made usable again, or what can still be read of it.

use crate::Outcome;
use crate::args::{Repair, RepairMode};
use crate::output::{Notes, Output, Progress, say};
use crate::place::{self, Db};
use crate::read::{self, describe};
use pumice::{Options, RecoveryMode, Result, blocking};

pub(crate) fn repair(args: &Repair, notes: &mut Notes) -> Result<Outcome> {
    let mode = match args.mode {
        RepairMode::Salvage => return salvage(args),
        RepairMode::TornTail => RecoveryMode::TornTail,
        RepairMode::PointInTime => RecoveryMode::PointInTime,
    };
    let done = Db::repair_with_key(&args.db, mode, place::key())?;
    let blocking::Repair { damage, torn, kept, quarantined, .. } = &done;
    for damage in damage {
        notes.add(format!("was damaged: {damage}"));
    }
    if let (Some(torn), true) = (torn, damage.is_empty()) {
        notes.add(describe(torn));
    }
    for file in quarantined {
        notes.add(format!("given up, and kept as {file}"));
    }
    if damage.is_empty() && torn.is_none() {
        notes.add(format!("there was nothing to repair; the last record is {kept}"));
    } else {
        notes.add(format!("everything up to record {kept} is kept"));
    }
    Ok(Outcome::Done)
}

fn salvage(args: &Repair) -> Result<Outcome> {
    let progress = Progress::spinner("reading");
    let options = Options::new().recovery(RecoveryMode::Salvage);
    let db = Db::open_with(place::open_read_only(&args.db)?, options)?;
    drop(progress);
    let mut out = Output::default();
    read::all(&db.read_view(), u64::MAX, &mut out)?;
    out.finish()?;
    let unreadable = &db.recovery().damage;
    for damage in unreadable {
        say("damaged", &damage.to_string());
    }
    Ok(if unreadable.is_empty() { Outcome::Done } else { Outcome::No })
}
