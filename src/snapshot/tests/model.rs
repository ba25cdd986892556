//! Random contents, layouts and bounds against a `BTreeMap`.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

fn keys() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0_u8), Just(0xff), Just(b'a'), Just(b'b')];
    ("[ab]{1,2}", vec(byte, 0..5)).prop_map(|(collection, rest)| key(&collection, rest))
}

fn bounds() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        keys().prop_map(Bound::Included),
        keys().prop_map(Bound::Excluded),
        vec(any::<u8>(), 0..3).prop_map(Bound::Included),
    ]
}

/// Some are like each other, so that they are packed.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..60),
        r#"(\{"name":"(ada|bob)"\}|\[true,[0-9]\]){0,6}"#.prop_map(String::into_bytes),
    ]
}

fn models() -> impl Strategy<Value = Model> {
    btree_map(keys(), (101..1000_u64, option::of(values())), 0..120)
}

fn layouts() -> impl Strategy<Value = Layout> {
    (0..300_usize, 0..300_usize, 0..200_usize, 0..3000_usize, 0..1000_usize)
        .prop_map(|(leaf, values, index, held, packed)| Layout { leaf, values, index, held, packed })
}

fn within(range: &KeyRange, key: &Vec<u8>) -> bool {
    let above = match &range.0 {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= start,
        Bound::Excluded(start) => key > start,
    };
    above
        && match &range.1 {
            Bound::Unbounded => true,
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
        }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_like_a_map(
        model in models(),
        layout in layouts(),
        ranges in vec((bounds(), bounds()), 1..6),
        probes in vec(keys(), 0..20),
    ) {
        let entries: Vec<Entry> = model.iter().map(|(k, (s, v))| (k.clone(), *s, v.clone())).collect();
        let table = open(&build(HEADER, layout, &entries, &[]));
        for probe in &probes {
            let expected = model.get(probe);
            let found = block_on(table.get(probe)).unwrap();
            let found = found.map(|f| (f.sequence, f.value.map(|v| v.to_vec())));
            prop_assert_eq!(found.as_ref(), expected);
            let found = block_on(table.find(probe)).unwrap();
            prop_assert_eq!(found, expected.map(|(s, v)| (*s, v.is_some())));
        }
        for range in ranges {
            for keys_only in [false, true] {
                let mut expected: Vec<_> = entries
                    .iter()
                    .filter(|(k, ..)| within(&range, k))
                    .map(|(k, s, v)| (k.clone(), *s, v.is_some(), v.clone().filter(|_| !keys_only)))
                    .collect();
                prop_assert_eq!(&scan(&table, range.clone(), Direction::Forward, keys_only).unwrap(), &expected);
                expected.reverse();
                prop_assert_eq!(&scan(&table, range.clone(), Direction::Reverse, keys_only).unwrap(), &expected);
            }
        }
        read_all(&table, &entries).unwrap();
        prop_assert_eq!(block_on(table.verify()).unwrap(), table.summary());
    }
}
