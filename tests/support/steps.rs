//! Random work on a database.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What a database should hold.
pub type Model = BTreeMap<(String, String), String>;

#[derive(Clone, Debug)]
pub enum Edit {
    Put(String, String, String),
    Delete(String, String),
    Drop(String),
}

#[derive(Clone, Debug)]
pub enum Step {
    Edit(Edit, bool),
    Batch(Vec<Edit>),
    Compact,
    Reopen,
    TakeView,
    CheckView(usize),
    DropView(usize),
    Scan { collection: String, from: String, to: String, reverse: bool, limit: u64 },
    Prefix(String, String),
}

fn collection() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a b", "ü"]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    let odd = vec!["k", "\u{0}", "k1\u{0}", "\"q\"", "é", "\u{10ffff}", "\n"];
    prop_oneof![
        8 => (0..24u8).prop_map(|n| format!("k{n}")),
        1 => prop::sample::select(odd).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let odd = vec!["null", "1.50e+01", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "[]", "\"ü\\n\""];
    prop_oneof![
        6 => (0..1000u32).prop_map(|n| format!("{{\"n\":{n},\"text\":\"value {n}\"}}")),
        1 => prop::sample::select(odd).prop_map(str::to_owned),
        1 => (0..200usize).prop_map(|n| format!("\"{}\"", "x".repeat(n * 37))),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        12 => (collection(), key(), value()).prop_map(|(c, k, v)| Edit::Put(c, k, v)),
        4 => (collection(), key()).prop_map(|(c, k)| Edit::Delete(c, k)),
        1 => collection().prop_map(Edit::Drop),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (edit(), any::<bool>()).prop_map(|(e, buffered)| Step::Edit(e, buffered)),
        4 => vec(edit(), 0..8).prop_map(Step::Batch),
        2 => Just(Step::Compact),
        2 => Just(Step::Reopen),
        2 => Just(Step::TakeView),
        3 => any::<usize>().prop_map(Step::CheckView),
        1 => any::<usize>().prop_map(Step::DropView),
        4 => (collection(), key(), key(), any::<bool>(), 0..30u64)
            .prop_map(|(collection, from, to, reverse, limit)| Step::Scan { collection, from, to, reverse, limit }),
        1 => (collection(), key()).prop_map(|(c, p)| Step::Prefix(c, p)),
    ]
}

pub fn edit_model(model: &mut Model, edit: &Edit) {
    match edit {
        Edit::Put(c, k, v) => {
            model.insert((c.clone(), k.clone()), v.clone());
        }
        Edit::Delete(c, k) => {
            model.remove(&(c.clone(), k.clone()));
        }
        Edit::Drop(c) => model.retain(|(collection, _), _| collection != c),
    }
}

/// Sequences of steps, short and long.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..120)
}
