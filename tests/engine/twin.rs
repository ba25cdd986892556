//! Guards against a journal in two copies that loses what one of them still has, or believes a copy that lost something.

use crate::support::block_on;
use crate::support::medium::{Change, Content, Medium, MediumCopies};
use pumice::pool::{Journal, JournalEdit, TwinJournal};
use pumice::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Twin = TwinJournal<MediumCopies>;
type Entries = Vec<(String, Vec<u8>)>;

fn open(medium: &Medium) -> Result<(Twin, Entries)> {
    let journal = TwinJournal::new(MediumCopies::new(medium.clone()));
    let entries = block_on(journal.read())?;
    Ok((journal, entries))
}

fn put(key: &str, value: &str) -> JournalEdit {
    JournalEdit::Put { key: key.into(), value: value.into() }
}

fn commit(journal: &Twin, edits: &[JournalEdit]) -> Result<()> {
    block_on(journal.commit(edits.to_vec()))
}

fn keys(entries: &Entries) -> String {
    entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(" ")
}

/// A medium in whose copies there are `a`, `b` and `d`.
fn written() -> Medium {
    let medium = Medium::default();
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!(entries, []);
    commit(&journal, &[put("a", "1"), put("c", "3")]).unwrap();
    commit(&journal, &[put("b", "2"), JournalEdit::Remove { from: "c".into(), to: "d".into() }]).unwrap();
    commit(&journal, &[put("d", "4")]).unwrap();
    medium
}

#[test]
fn either_copy_will_do_and_both_are_new_then() {
    let medium = written();
    for round in 0..6 {
        let old: Vec<u64> = medium.parts().copies.keys().copied().collect();
        assert_eq!(old.len(), 2, "round {round}");
        // Thrown away, or removed with its name.
        let lost = old[round % 2];
        if round < 3 {
            medium.parts().copies.get_mut(&lost).unwrap().clear();
        } else {
            medium.parts().copies.remove(&lost);
        }
        let there: Vec<u64> = medium.parts().copies.keys().copied().collect();
        let (_, entries) = open(&medium).unwrap();
        assert_eq!(keys(&entries), "a b d", "round {round}");
        let new: Vec<u64> = medium.parts().copies.keys().copied().collect();
        assert!(new.len() == 2 && new.iter().all(|one| !there.contains(one)), "{there:?} became {new:?}");
    }
}

#[test]
fn nothing_is_made_before_there_is_something_to_keep_and_nothing_stays_of_it() {
    let medium = Medium::default();
    let (journal, _) = open(&medium).unwrap();
    commit(&journal, &[JournalEdit::Remove { from: "a".into(), to: "b".into() }]).unwrap();
    assert_eq!(medium.parts().copies.len(), 0);
    commit(&journal, &[put("a", "1")]).unwrap();
    assert_eq!(medium.parts().copies.len(), 2);
    commit(&journal, &[JournalEdit::Remove { from: "a".into(), to: "b".into() }]).unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&done);
    medium.watch(move |change| {
        let mut done = record.lock().unwrap();
        match change {
            Change::Commit(Some(number), edits) => {
                assert!(edits.iter().all(|edit| matches!(edit, JournalEdit::Remove { .. })));
                done.push(format!("empty {number}"));
            }
            Change::RemoveCopy(number) => done.push(format!("remove {number}")),
            _ => {}
        }
        Ok(())
    });
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!(entries, []);
    block_on(journal.settle()).unwrap();
    assert_eq!(medium.parts().copies.len(), 0);
    // A removed one may come back.
    assert_eq!(*done.lock().unwrap(), ["empty 0", "remove 0", "empty 1", "remove 1"]);
}

/// What both copies have is durable. What one of them has may be in the page cache only, where a process that was killed
/// has left it: it is not shown before it is in new copies.
#[test]
fn opening_puts_carrying_over_off_where_both_copies_say_the_same() {
    let medium = written();
    let there = |medium: &Medium| medium.parts().copies.keys().copied().collect::<Vec<_>>();
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!((keys(&entries).as_str(), there(&medium)), ("a b d", vec![0, 1]));
    commit(&journal, &[put("e", "5")]).unwrap();
    assert_eq!(there(&medium), [2, 3]);
    // The second copy was not written any more.
    let before = medium.parts().copies[&3].clone();
    commit(&journal, &[put("f", "6")]).unwrap();
    medium.parts().copies.insert(3, before);
    let one = medium.parts().copies[&2].clone();
    let (_, entries) = open(&medium).unwrap();
    assert_eq!((keys(&entries).as_str(), there(&medium)), ("a b d e f", vec![4, 5]));
    // A process was killed once more before what it carried over was durable: two say the same that are no pair.
    {
        let copies = &mut medium.parts().copies;
        copies.clear();
        copies.insert(1, one.clone());
        copies.insert(2, one);
    }
    let (_, entries) = open(&medium).unwrap();
    assert_eq!((keys(&entries).as_str(), there(&medium)), ("a b d e f", vec![4, 5]));
}

/// The platform does not get at the copies of those numbers any more, until they are removed.
fn lock(medium: &Medium, numbers: &'static [u64]) {
    medium.watch(move |change| match change {
        Change::OpenCopy(number) if numbers.contains(&number) => {
            Err(Error::new(ErrorKind::Io, "cannot open IndexedDB"))
        }
        _ => Ok(()),
    });
}

#[test]
fn a_copy_that_cannot_be_opened_is_as_good_as_gone() {
    for locked in [&[0], &[1]] {
        let medium = written();
        lock(&medium, locked);
        let (journal, entries) = open(&medium).unwrap();
        assert_eq!(keys(&entries), "a b d");
        assert_eq!(medium.parts().copies.keys().copied().collect::<Vec<_>>(), [2, 3]);
        commit(&journal, &[put("f", "6")]).unwrap();
        assert_eq!(keys(&open(&medium).unwrap().1), "a b d f");
    }
    // Nothing was kept when it was removed, and the removal was undone.
    let medium = written();
    medium.parts().copies.remove(&1);
    lock(&medium, &[0]);
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!((keys(&entries).as_str(), medium.parts().copies.len()), ("", 1));
    commit(&journal, &[put("a", "1")]).unwrap();
    assert_eq!(keys(&open(&medium).unwrap().1), "a");
    // Any number, where what counts is there.
    let medium = written();
    let (journal, _) = open(&medium).unwrap();
    commit(&journal, &[put("e", "5")]).unwrap();
    let old = written().parts().copies.clone();
    medium.parts().copies.extend(old);
    lock(&medium, &[0, 1, 3]);
    assert_eq!(keys(&open(&medium).unwrap().1), "a b d e");
    assert_eq!(medium.parts().copies.keys().copied().collect::<Vec<_>>(), [4, 5]);
    // Nothing had been acknowledged.
    let medium = written();
    medium.parts().copies.get_mut(&1).unwrap().clear();
    lock(&medium, &[0]);
    assert_eq!(keys(&open(&medium).unwrap().1), "");
    // Nobody knows what was in them.
    let medium = written();
    lock(&medium, &[0, 1]);
    assert_eq!(open(&medium).map(|_| ()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(medium.parts().copies.keys().copied().collect::<Vec<_>>(), [0, 1]);
}

/// What it held comes back with its name, and is older than what was acknowledged since.
#[test]
fn a_copy_that_could_not_be_opened_counts_for_nothing_when_it_can_again() {
    for text in ["1", "2", "3", "4", "5"] {
        let medium = written();
        // A commit that was under way when the process was killed is in the first copy alone.
        let (journal, _) = open(&medium).unwrap();
        commit(&journal, &[put("e", text)]).unwrap();
        let ahead = medium.parts().copies[&2].clone();
        medium.parts().copies = written().parts().copies.clone();
        medium.parts().copies.insert(0, ahead.clone());
        lock(&medium, &[0]);
        let (journal, entries) = open(&medium).unwrap();
        assert_eq!(keys(&entries), "a b d");
        commit(&journal, &[put("f", text)]).unwrap();
        medium.watch(|_| Ok(()));
        medium.parts().copies.insert(0, ahead);
        assert_eq!(keys(&open(&medium).unwrap().1), "a b d f");
    }
}

/// A copy that lost entries from its midst must not be taken for whole.
#[test]
fn a_copy_with_a_gap_counts_for_nothing() {
    let medium = written();
    medium.parts().copies.get_mut(&0).unwrap().remove("b");
    assert_eq!(keys(&open(&medium).unwrap().1), "a b d");
    let medium = written();
    medium.parts().copies.get_mut(&1).unwrap().insert("b".into(), Content::Own(b"3".to_vec()));
    assert_eq!(keys(&open(&medium).unwrap().1), "a b d");
    let medium = written();
    for copy in medium.parts().copies.values_mut() {
        copy.remove("b");
    }
    let before = medium.parts().copies.len();
    let error = open(&medium).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(medium.parts().copies.len(), before, "nothing was changed");
    // Alone, what it knows to be missing is missing.
    let medium = written();
    medium.parts().copies.get_mut(&0).unwrap().clear();
    medium.parts().copies.get_mut(&1).unwrap().remove("a");
    assert_eq!(open(&medium).map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
    // A mark that is none is damage, whatever else is there.
    let medium = written();
    medium.parts().copies.insert(2, BTreeMap::from([("~".into(), Content::Own(b"x".to_vec()))]));
    assert_eq!(open(&medium).map(|_| ()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn the_copies_differ_by_one_commit_at_most_and_the_longer_one_counts() {
    let medium = written();
    let before: BTreeMap<String, Content> = medium.parts().copies[&1].clone();
    let (journal, _) = open(&medium).unwrap();
    commit(&journal, &[put("e", "5")]).unwrap();
    let second = *medium.parts().copies.keys().last().unwrap();
    medium.parts().copies.insert(second, before);
    assert_eq!(keys(&open(&medium).unwrap().1), "a b d e");
}

#[test]
fn what_the_former_journal_holds_is_carried_over_once() {
    let medium = Medium::default();
    block_on(Journal::commit(&medium, vec![put("a", "1"), put("b", "2")])).unwrap();
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!(keys(&entries), "a b");
    commit(&journal, &[JournalEdit::Remove { from: "a".into(), to: "b".into() }]).unwrap();
    assert!(medium.parts().journal.is_empty());
    // It came back, with a power cut in the midst of clearing it.
    block_on(Journal::commit(&medium, vec![put("a", "1"), put("b", "2")])).unwrap();
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!(keys(&entries), "b");
    block_on(journal.settle()).unwrap();
    assert!(medium.parts().journal.is_empty());
}

/// Entries that whoever opens knows from elsewhere are taken from there only if they are what was committed.
#[test]
fn what_is_known_is_taken_where_it_adds_up() {
    let open_knowing = |medium: &Medium, wanted: &str, value: &'static str| {
        let journal = TwinJournal::new(MediumCopies::new(medium.clone()));
        let known =
            |keys: &[String], place: usize| (keys[place] == wanted).then(|| value.as_bytes().to_vec());
        let entries = block_on(journal.read_with(&known));
        entries.map(|entries| {
            (journal, entries.iter().map(|(_, value)| value.to_vec()).collect::<Vec<_>>().concat())
        })
    };
    let medium = written();
    let found = |wanted, value| open_knowing(&medium, wanted, value).unwrap().1;
    assert_eq!(found("b", "2"), b"124");
    assert_eq!(found("b", "3"), b"124", "it is read after all");
    // Both copies have lost what is known, and get it back.
    for copy in medium.parts().copies.values_mut() {
        copy.insert("b".into(), Content::Own(b"x".to_vec()));
    }
    assert!(open_knowing(&medium, "b", "y").is_err());
    let (journal, entries) = open_knowing(&medium, "b", "2").unwrap();
    assert_eq!(entries, b"124");
    block_on(journal.settle()).unwrap();
    assert_eq!(keys(&open(&medium).unwrap().1), "a b d");
}

/// Closing need not wait for all of a large journal to be carried over.
#[test]
fn carrying_over_may_be_given_up() {
    let medium = Medium::default();
    let (journal, _) = open(&medium).unwrap();
    for key in ["a", "b", "c"] {
        commit(&journal, &[put(key, &key.repeat(3 << 20))]).unwrap();
    }
    let (journal, _) = open(&medium).unwrap();
    journal.give_up();
    assert_eq!(block_on(journal.settle()).unwrap_err().kind(), ErrorKind::Closed);
    let (journal, entries) = open(&medium).unwrap();
    assert_eq!(keys(&entries), "a b c");
    block_on(journal.settle()).unwrap();
    assert_eq!(medium.parts().copies.len(), 2);
    assert_eq!(keys(&open(&medium).unwrap().1), "a b c");
}

/// Whichever call fails: what was there is there when it is opened again, and a commit that failed is the last one.
#[test]
fn a_failure_costs_nothing_and_is_the_end() {
    for fails in 0.. {
        let medium = written();
        let mut calls = 0;
        medium.watch(move |_| {
            calls += 1;
            if calls == fails + 1 { Err(Error::new(ErrorKind::Full, "no room")) } else { Ok(()) }
        });
        let opened = open(&medium);
        let mut acknowledged = "a b d";
        let mut failed = opened.is_err();
        if let Ok((journal, entries)) = opened {
            assert_eq!(keys(&entries), "a b d");
            failed = commit(&journal, &[put("e", "5")]).is_err();
            if failed {
                let again = commit(&journal, &[put("f", "6")]).unwrap_err();
                assert_eq!(again.kind(), ErrorKind::Poisoned);
            } else {
                acknowledged = "a b d e";
            }
        }
        medium.parts().watch = None;
        let found = keys(&open(&medium).unwrap().1);
        assert!(found == acknowledged || found == "a b d e", "{found}, call {fails} failed");
        if !failed {
            assert!(fails > 8, "{fails} calls");
            return;
        }
    }
}
