//! What clients' writes were answered with, so that a write that is sent again is done once and answered the same.
//!
//! A client numbers its writes upwards and sends them in order. Kept are the sequence numbers that its last writes
//! resolved to, as runs, until it says that it has the answers. Records of the log carry client and number; the header
//! of each segment carries this table as of the segment's beginning, for the records that compaction removes.
//! Everything is bounded: clients, runs, and the time that a silent client is remembered.

use super::json::{Reader, push_string};
use crate::sorted_map::SortedMap;
use std::collections::VecDeque;

/// Clients remembered at once.
pub(crate) const MAX_CLIENTS: usize = 256;
/// Runs remembered at once, of all clients together.
pub(crate) const MAX_RUNS: usize = 8192;
/// A client from which nothing came for so long is forgotten. Milliseconds of record time.
pub(crate) const SILENCE: u64 = 5 * 60 * 1000;
/// The longest name of a client, in bytes.
pub(crate) const MAX_CLIENT_BYTES: usize = 64;

/// The writes `number`, `number + 1`, ... resolved to `sequence`, `sequence + 1`, ...: `count` of them, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    number: u64,
    sequence: u64,
    count: u64,
}

impl Run {
    /// Behind its last number. No overflow: recording and decoding see to it.
    fn end(self) -> u64 {
        self.number + self.count
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Client {
    /// Of its last record.
    time: u64,
    /// Nothing is kept of the numbers below: the client has their answers.
    done: u64,
    /// Ascending, without overlap.
    runs: VecDeque<Run>,
}

/// What is known of a client's write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it was never written.
    New,
    /// It was written, and this is its sequence number.
    Written(u64),
    /// It was not written, though later writes of the client were: it had nothing to write.
    Skipped,
    /// It was answered, or so long ago that the answer is no longer kept.
    Forgotten,
}

/// The table of answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clients {
    by_name: SortedMap<Box<str>, Client>,
    /// Runs of all clients.
    runs: usize,
}

impl Clients {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub(crate) fn known(&self, client: &str, number: u64) -> Known {
        let Some(client) = self.by_name.get(client) else { return Known::New };
        if number < client.done {
            return Known::Forgotten;
        }
        let behind = client.runs.partition_point(|run| run.number <= number);
        match behind.checked_sub(1).and_then(|at| client.runs.get(at)) {
            Some(run) if number < run.end() => Known::Written(run.sequence + (number - run.number)),
            _ if client.runs.back().is_some_and(|last| number < last.number) => Known::Skipped,
            _ => Known::New,
        }
    }

    /// Remembers that the client's write `number` resolved to `sequence`.
    pub(crate) fn written(&mut self, name: &str, number: u64, sequence: u64, time: u64) {
        if number == u64::MAX || name.len() > MAX_CLIENT_BYTES {
            return;
        }
        if !self.by_name.contains_key(name) {
            self.forget_silent(time);
            while self.by_name.len() >= MAX_CLIENTS {
                self.forget_most_silent();
            }
        }
        let client = self.by_name.or_default(name.into());
        client.time = client.time.max(time);
        if number < client.done {
            return;
        }
        let at = client.runs.partition_point(|run| run.number <= number);
        match at.checked_sub(1).and_then(|before| client.runs.get_mut(before)) {
            Some(run) if number < run.end() => return,
            Some(run) if number == run.end() && sequence == run.sequence + run.count => {
                run.count += 1;
                return;
            }
            _ => client.runs.insert(at, Run { number, sequence, count: 1 }),
        }
        self.runs += 1;
        while self.runs > MAX_RUNS {
            self.forget_oldest_run();
        }
    }

    /// The client has the answers of all its writes below `done`.
    pub(crate) fn done(&mut self, name: &str, done: u64) {
        let Some(client) = self.by_name.get_mut(name) else { return };
        let before = client.runs.len();
        while let Some(run) = client.runs.front_mut().filter(|run| run.number < done) {
            if run.end() <= done {
                client.runs.pop_front();
                continue;
            }
            let answered = done - run.number;
            *run = Run { number: done, sequence: run.sequence + answered, count: run.count - answered };
        }
        self.runs -= before - client.runs.len();
        client.done = client.done.max(done);
    }

    /// Forgets the clients from which nothing came for long before `now`.
    pub(crate) fn forget_silent(&mut self, now: u64) {
        let runs = &mut self.runs;
        self.by_name.retain(|_, client| {
            let keep = client.time.saturating_add(SILENCE) >= now;
            if !keep {
                *runs -= client.runs.len();
            }
            keep
        });
    }

    fn forget_most_silent(&mut self) {
        let silent = self.by_name.iter().min_by_key(|(_, client)| client.time);
        if let Some(name) = silent.map(|(name, _)| name.clone())
            && let Some(client) = self.by_name.remove(&name)
        {
            self.runs -= client.runs.len();
        }
    }

    fn forget_oldest_run(&mut self) {
        let first = |client: &Client| client.runs.front().map(|run| run.sequence);
        let clients = self.by_name.values_mut().filter(|client| !client.runs.is_empty());
        if let Some(client) = clients.min_by_key(|client| first(client))
            && let Some(run) = client.runs.pop_front()
        {
            client.done = client.done.max(run.end());
            self.runs -= 1;
        }
    }

    /// Appends the table as a JSON array.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (row, (name, client)) in self.by_name.iter().enumerate() {
            out.extend_from_slice(if row == 0 { b"[" } else { b",[" });
            push_string(out, name);
            push_numbers(out, b",", &[client.time, client.done]);
            out.extend_from_slice(b",[");
            for (place, run) in client.runs.iter().enumerate() {
                out.extend_from_slice(if place == 0 { b"[" } else { b",[" });
                push_numbers(out, b"", &[run.number]);
                push_numbers(out, b",", &[run.sequence, run.count]);
                out.push(b']');
            }
            out.extend_from_slice(b"]]");
        }
        out.push(b']');
    }

    /// Reads [`encode`](Self::encode)'s text; `None` for what it does not write. Of more than is kept at once, the
    /// rest is left out.
    pub(crate) fn decode(json: &str) -> Option<Self> {
        let (mut clients, mut reader, mut first, mut full) =
            (Self::default(), Reader::new(json), true, false);
        reader.expect(b'[').ok()?;
        while reader.more(first, b']').ok()? {
            first = false;
            let row = reader.value().ok()?;
            full |= clients.by_name.len() == MAX_CLIENTS;
            full = full || !clients.add_row(row)?;
        }
        reader.end().ok()?;
        Some(clients)
    }

    /// False for a row that there is no room for.
    fn add_row(&mut self, row: &str) -> Option<bool> {
        let mut reader = Reader::new(row);
        reader.expect(b'[').ok()?;
        let name = reader.string().ok()?;
        let (time, done) = (after_comma(&mut reader)?, after_comma(&mut reader)?);
        reader.expect(b',').ok()?;
        let runs = runs(reader.value().ok()?)?;
        reader.expect(b']').ok()?;
        if name.len() > MAX_CLIENT_BYTES || runs.front().is_some_and(|first| first.number < done) {
            return None;
        }
        if self.runs + runs.len() > MAX_RUNS {
            return Some(false);
        }
        self.runs += runs.len();
        // A client has one row.
        self.by_name.insert((&*name).into(), Client { time, done, runs }).is_none().then_some(true)
    }
}

/// Appends each number with `before` in front of it.
fn push_numbers(out: &mut Vec<u8>, before: &[u8], numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(before);
        out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes());
    }
}

fn after_comma(reader: &mut Reader<'_>) -> Option<u64> {
    reader.expect(b',').ok()?;
    reader.number().ok()
}

/// Runs in ascending order.
fn runs(json: &str) -> Option<VecDeque<Run>> {
    let (mut runs, mut reader, mut first, mut end) = (VecDeque::new(), Reader::new(json), true, 0);
    reader.expect(b'[').ok()?;
    while reader.more(first, b']').ok()? {
        first = false;
        reader.expect(b'[').ok()?;
        let number = reader.number().ok()?;
        let (sequence, count) = (after_comma(&mut reader)?, after_comma(&mut reader)?);
        reader.expect(b']').ok()?;
        let sound = count > 0 && number >= end && sequence.checked_add(count).is_some();
        end = number.checked_add(count).filter(|_| sound)?;
        // The last ones, as when they are recorded.
        if runs.len() == MAX_RUNS {
            runs.pop_front();
        }
        runs.push_back(Run { number, sequence, count });
    }
    Some(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn text(clients: &Clients) -> String {
        let mut out = Vec::new();
        clients.encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn answers_come_in_runs_and_go_when_the_client_has_them() {
        let mut clients = Clients::default();
        for (number, sequence) in [(1, 10), (2, 11), (3, 12), (5, 17), (6, 20)] {
            clients.written("a", number, sequence, 1000 + number);
        }
        assert_eq!(text(&clients), r#"[["a",1006,0,[[1,10,3],[5,17,1],[6,20,1]]]]"#);
        assert_eq!(clients.known("a", 2), Known::Written(11));
        assert_eq!(clients.known("a", 4), Known::Skipped);
        assert_eq!(clients.known("a", 7), Known::New);
        assert_eq!(clients.known("b", 1), Known::New);
        clients.done("a", 3);
        assert_eq!(text(&clients), r#"[["a",1006,3,[[3,12,1],[5,17,1],[6,20,1]]]]"#);
        assert_eq!(clients.known("a", 2), Known::Forgotten);
        clients.done("a", 9);
        assert_eq!(text(&clients), r#"[["a",1006,9,[]]]"#);
    }

    #[test]
    fn a_client_is_forgotten_after_five_minutes_of_silence_with_its_answers() {
        let mut clients = Clients::default();
        clients.written("a", 1, 10, 1006);
        clients.written("a", 3, 12, 1000);
        clients.forget_silent(1006 + 300_000);
        assert_eq!((clients.known("a", 3), clients.runs), (Known::Written(12), 2));
        clients.forget_silent(1007 + 300_000);
        assert_eq!(clients, Clients::default());
    }

    #[test]
    fn what_no_client_can_be_or_count_to_is_not_remembered() {
        let mut clients = Clients::default();
        let longest = "n".repeat(MAX_CLIENT_BYTES);
        clients.written("a", u64::MAX, 1, 1);
        clients.written(&format!("{longest}n"), 1, 2, 1);
        assert_eq!(clients, Clients::default());
        clients.written("a", u64::MAX - 1, 3, 1);
        clients.written(&longest, 1, 4, 1);
        assert_eq!(clients.known("a", u64::MAX - 1), Known::Written(3));
        assert_eq!(clients.known(&longest, 1), Known::Written(4));
        assert_eq!(Clients::decode(&text(&clients)).unwrap(), clients);
    }

    #[test]
    fn a_write_told_twice_or_late_changes_nothing_else() {
        let mut clients = Clients::default();
        for (number, sequence) in [(3, 30), (1, 10), (3, 30), (2, 20)] {
            clients.written("a", number, sequence, 1);
        }
        assert_eq!(text(&clients), r#"[["a",1,0,[[1,10,1],[2,20,1],[3,30,1]]]]"#);
    }

    #[test]
    fn there_is_a_bound_for_runs_and_for_clients() {
        let mut clients = Clients::default();
        for number in 0..MAX_RUNS as u64 + 5 {
            clients.written("a", number, 2 * number, 7);
        }
        assert_eq!(clients.runs, MAX_RUNS);
        assert_eq!(clients.known("a", 4), Known::Forgotten);
        assert_eq!(clients.known("a", 5), Known::Written(10));
        assert_eq!(Clients::decode(&text(&clients)).unwrap(), clients);
        for number in 0..MAX_CLIENTS as u64 {
            clients.written(&format!("c{number:03}"), 0, 1 << 40, 8 + number);
        }
        assert_eq!(clients.by_name.len(), MAX_CLIENTS);
        // The one that was silent for longest.
        assert_eq!(clients.known("a", 5), Known::New);
        assert_eq!(clients.runs, MAX_CLIENTS);
    }

    #[test]
    fn more_than_is_kept_is_left_out_and_nonsense_refused() {
        let row = |name: &str, runs: usize| {
            let runs: Vec<_> = (0..runs).map(|at| format!("[{},1,1]", at * 2)).collect();
            format!("[\"{name}\",1,0,[{}]]", runs.join(","))
        };
        let many: Vec<_> = (0..MAX_CLIENTS + 9).map(|at| row(&format!("c{at}"), 1)).collect();
        assert_eq!(Clients::decode(&format!("[{}]", many.join(","))).unwrap().by_name.len(), MAX_CLIENTS);
        let long = Clients::decode(&format!("[{}]", row("a", MAX_RUNS + 9))).unwrap();
        assert_eq!(long.runs, MAX_RUNS);
        let both = Clients::decode(&format!("[{},{}]", row("a", MAX_RUNS - 1), row("b", 2))).unwrap();
        assert_eq!(both.runs, MAX_RUNS - 1);
        let both = Clients::decode(&format!("[{},{}]", row("a", 1), row("b", MAX_RUNS))).unwrap();
        assert_eq!(both.runs, 1);
        assert_eq!(Clients::decode(&format!("[{}]", row(&"n".repeat(MAX_CLIENT_BYTES + 1), 1))), None);
        for json in [
            "1",
            "[] 1",
            "[[]]",
            "[[\"a\",1,0]]",
            "[[\"a\",1,0,[[1,1,0]]]]",
            "[[\"a\",1,0,[[1,1,2],[2,5,1]]]]",
            "[[\"a\",1,0,[[18446744073709551615,1,1]]]]",
            "[[\"a\",1,0,[[1,18446744073709551615,1]]]]",
            "[[\"a\",1,2,[[1,1,5]]]]",
            "[[\"a\",1,0,[]],[\"a\",1,0,[]]]",
        ] {
            assert_eq!(Clients::decode(json), None, "{json}");
        }
    }

    proptest! {
        /// What clients would have to remember by themselves.
        #[test]
        fn knows_what_a_plain_map_knows(steps in prop::collection::vec((0..3_u8, 0..4_u64, 0..3_u64, any::<bool>()), 0..60)) {
            let mut clients = Clients::default();
            let mut model: BTreeMap<(u8, u64), u64> = BTreeMap::new();
            let (mut next, mut done, mut sequence) = ([0_u64; 3], [0_u64; 3], 0);
            for (client, skip, gap, answered) in steps {
                let name = client.to_string();
                let at = usize::from(client);
                let number = next[at] + u64::from(skip == 3);
                sequence += 1 + gap / 2;
                clients.written(&name, number, sequence, 1);
                model.insert((client, number), sequence);
                next[at] = number + 1;
                if answered {
                    done[at] = next[at] - skip.min(next[at] - done[at]);
                    clients.done(&name, done[at]);
                }
                for client in 0..3_u8 {
                    let at = usize::from(client);
                    for number in 0..next[at] + 2 {
                        let known = clients.known(&client.to_string(), number);
                        let expected = match model.get(&(client, number)) {
                            _ if number < done[at] => Known::Forgotten,
                            Some(sequence) => Known::Written(*sequence),
                            None if number < next[at] => Known::Skipped,
                            None => Known::New,
                        };
                        prop_assert_eq!(known, expected);
                    }
                }
                prop_assert_eq!(Clients::decode(&text(&clients)).unwrap(), clients.clone());
            }
        }
    }
}
