//! States that once were refused or had lost something, each in its smallest form.

use crate::chance::{Chance, Thoroughness};
use crate::check::{self, Compact};
use crate::disk::Disk;
use crate::recording::{Effect, Remains};
use crate::support::block_on;
use crate::workload::{Driver, History, options, put, text};
use pumice::LogLines;
use std::sync::Arc;
use std::time::Duration;

/// Plays a workload effect by effect. `visit` gets each moment, with the write acknowledged last.
fn moments(effects: &[Effect], visit: &mut dyn FnMut(&Disk, usize, &Effect)) {
    let (mut disk, mut acknowledged) = (Disk::default(), 0);
    for effect in effects {
        disk.apply(effect);
        if let Effect::Acknowledged(write) = effect {
            acknowledged = *write;
        }
        visit(&disk, acknowledged, effect);
    }
}

fn play(body: impl FnOnce(&mut Driver)) -> (Vec<Effect>, History) {
    let mut driver = Driver::open(&Disk::default(), History::new(), options()).unwrap();
    body(&mut driver);
    driver.finish()
}

/// Kills the process whenever bytes are unsynced, and cuts the power at every moment of the recovery that follows.
fn kill_then_cut(compact: Compact, body: impl FnOnce(&mut Driver)) {
    let (effects, history) = play(body);
    moments(&effects, &mut |disk, acknowledged, _| {
        if !disk.is_volatile() {
            return;
        }
        let recovered = check::write(disk, &history, acknowledged, acknowledged, compact).unwrap();
        let (mut disk, mut acknowledged) = (disk.clone(), acknowledged);
        for effect in &recovered.effects {
            disk.apply(effect);
            if let Effect::Acknowledged(write) = effect {
                acknowledged = *write;
            }
            disk.states(Some(effect), Thoroughness::Dense, &mut Chance::new(1), &mut |state, label| {
                if let Err(why) = check::read(state, &recovered.history, acknowledged, false) {
                    panic!("{why}, after {effect:.60?}: {label}");
                }
            });
        }
    });
}

#[test]
fn copies_of_records_whose_originals_are_lost_do_not_look_like_damage() {
    kill_then_cut(Compact::Never, |d| d.put("c", 1, 1));
}

#[test]
fn a_seal_that_was_never_synced_is_not_counted_on() {
    kill_then_cut(Compact::AtOnce, |d| d.put("c", 1, 1));
}

#[test]
fn a_snapshot_that_was_never_synced_replaces_nothing() {
    kill_then_cut(Compact::Never, |d| {
        d.put("c", 1, 1);
        d.compact();
    });
}

#[test]
fn the_end_of_a_snapshot_without_its_beginning_does_not_count() {
    let (effects, history) = play(|d| {
        d.put("c", 1, text(6000));
        d.compact();
    });
    let mut seen = 0;
    moments(&effects, &mut |disk, acknowledged, effect| {
        if matches!(effect, Effect::Append(name, _) if name.ends_with(".snapshot")) {
            disk.states(Some(effect), Thoroughness::Dense, &mut Chance::new(1), &mut |state, label| {
                seen += 1;
                check::read(state, &history, acknowledged, true).expect(label);
            });
        }
    });
    assert!(seen > 100);
}

#[test]
fn a_compaction_right_after_recovery_covers_what_it_claims_to() {
    let (effects, history) = play(|d| {
        d.reopen_with(options().compact_at(Some(900)));
        for count in [200, 7] {
            d.batch(&(0..count).map(|n| put("c", count + n, n)).collect::<Vec<_>>());
            d.settle(900);
        }
        d.reopen_with(options());
        assert_eq!(d.db().stats().unwrap().snapshots, 2);
        d.put("c", "last", 1);
        d.compact();
    });
    moments(&effects, &mut |disk, acknowledged, effect| {
        let disk = Disk::settled(&disk.all());
        check::write(&disk, &history, acknowledged, acknowledged, Compact::AtOnce)
            .unwrap_or_else(|why| panic!("{why}, after {effect:.60?}"));
    });
}

#[test]
fn a_compaction_that_cannot_create_its_file_removes_nothing() {
    let mut driver = Driver::open(&Disk::default(), History::new(), options()).unwrap();
    driver.put("c", 1, 1);
    let taken = format!("{:020}.snapshot", 1);
    driver.storage.plant(&taken, b"somebody's");
    assert!(driver.db().compact().is_err());
    assert_eq!(driver.storage.contents(&taken), b"somebody's");
}

/// A crash in the middle of a rotation leaves an empty file as the last segment.
#[test]
fn the_log_before_an_unfinished_segment_is_shown_to_its_end() {
    let (effects, _) = play(|d| {
        d.put("c", 1, 1);
        d.compact();
    });
    moments(&effects, &mut |disk, acknowledged, effect| {
        let storage = Remains(Arc::new(disk.all()));
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let read = block_on(async {
                let mut seen = 0;
                let mut lines = LogLines::open(storage, None, false).await?;
                let mut count = |_: &[u8]| {
                    seen += 1;
                    Ok(())
                };
                lines.read(&mut count).await.map(|_| seen)
            });
            told.send(read)
        });
        let read = heard.recv_timeout(Duration::from_secs(60));
        let read = read.unwrap_or_else(|_| panic!("still reading, after {effect:?}"));
        let snapshot = disk.visible().any(|(name, _)| name.ends_with(".snapshot"));
        assert!(snapshot || read.unwrap_or_default() >= acknowledged, "after {effect:?}");
    });
}
