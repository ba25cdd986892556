//! A killed process leaves what nothing has flushed; the next one builds on it, and then the power is cut. The exploration
//! comes by some of these; here, for two small workloads, all of them are gone through.

use crate::chance::{Chance, Thoroughness};
use crate::check::{self, Compact};
use crate::disk::Disk;
use crate::explore::hash;
use crate::recording::Effect;
use crate::workload::{Driver, History, options, text};
use std::collections::HashSet;

/// Kills the process whenever something is not flushed, and cuts the power at every moment of the recovery that follows.
fn kill_then_cut(twin: bool, body: impl FnOnce(&mut Driver)) -> u64 {
    let mut driver = Driver::open(&Disk::empty(twin), History::new(), options()).unwrap();
    body(&mut driver);
    let (effects, history) = driver.finish();
    let (mut disk, mut acknowledged, mut kills) = (Disk::empty(twin), 0, 0);
    let mut met = HashSet::new();
    for effect in &effects {
        disk.apply(effect);
        if let Effect::Acknowledged(write) = effect {
            acknowledged = *write;
        }
        if disk.is_volatile() {
            kills += 1;
            cut_the_power(&disk, &history, acknowledged, &mut met, &effect.to_string());
        }
    }
    assert!(kills > 20, "{kills} kills");
    met.len() as u64
}

fn cut_the_power(
    killed: &Disk,
    history: &History,
    acknowledged: usize,
    met: &mut HashSet<u64>,
    killed_after: &str,
) {
    let recovered = check::write(killed, history, acknowledged, acknowledged, Compact::Never).unwrap();
    let (mut disk, mut acknowledged) = (killed.clone(), acknowledged);
    for effect in &recovered.effects {
        disk.apply(effect);
        if let Effect::Acknowledged(write) = effect {
            acknowledged = *write;
        }
        disk.states(Some(effect), Thoroughness::Sparse, &mut Chance::new(1), &mut |state, label| {
            let promised = acknowledged << 32 | recovered.history.last() as usize;
            if !met.insert(hash(state, promised)) {
                return;
            }
            if let Err(why) = check::read(state, &recovered.history, acknowledged, false) {
                panic!("{why}, killed after {killed_after}, cut after {effect}: {label}");
            }
        });
    }
}

#[test]
fn a_kill_while_slots_age_and_then_a_power_cut_lose_nothing() {
    for twin in [false, true] {
        let states = kill_then_cut(twin, |d| {
            d.put("c", 1, 1);
            d.storage.wait(60_000);
            d.put("c", 2, 2);
        });
        assert!(states > 1000, "{states} states");
    }
}

#[test]
fn a_kill_while_slots_are_reused_and_then_a_power_cut_lose_nothing() {
    for twin in [false, true] {
        let states = kill_then_cut(twin, |d| {
            d.storage.wait(60_000);
            for n in 0..4 {
                d.put("c", n, text(200 - n * 40));
                d.compact();
            }
        });
        assert!(states > 1000, "{states} states");
    }
}
