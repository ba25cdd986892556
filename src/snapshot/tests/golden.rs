//! The worked example of the format's documentation, byte by byte: this is read and written exactly so, and what version 1 wrote
//! is read.

use super::*;

const EXAMPLE: &str = "
    50554d494345534e 02000000 00000000
    30313233343536373839616263646566
    0100000000000000 0000000000000000 0500000000000000 153124dd389d42ba

    7b226e223a317d
    01 00 0100 0900 757365727300616461 0000 00 01 05 07 00 073b6c4d 40c704437287a0c5
    02 00 0100 0900 757365727300616461 0000 00 40 07 22 05f577ac04df273e

    00000000 3d19fc1626c9b248
    01000000 05 7573657273 0100000000000000 0000000000000000 e6a6d855794ded70

    6900000000000000 1d000000 01000000
    8600000000000000 0c00000000000000
    9200000000000000 2200000000000000
    0100000000000000 0100000000000000 adb3d87ba58adc0b
    0000000000000000 0500000000000000 0100000000000000
    30313233343536373839616263646566
    5401000000000000 02000000 00000000
    00000000000000000000000000000000
    0a809af288ab3202 50554d4943454654
";

/// How the ends of the file looked in version 1: version and checksum.
const OF_VERSION_1: [(&str, &str); 4] = [
    ("4e02000000", "4e01000000"),
    ("153124dd389d42ba", "c2c7e7d79b647912"),
    ("540100000000000002000000", "540100000000000001000000"),
    ("0a809af288ab3202", "3037c8e4c0a0ddfe"),
];

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_documented_example() {
    let header = SnapshotHeader { store_id: *b"0123456789abcdef", epoch: 1, base: 0, sequence: 5 };
    let entries = [(key("users", "ada"), 5, Some(b"{\"n\":1}".to_vec()))];
    let digits: String = EXAMPLE.split_whitespace().collect();
    let file = bytes(&digits);
    read_all(&open(&file), &entries).unwrap();
    assert_eq!(build(header, Layout::new(false), &entries, &[]), file);

    let of_version_1 = OF_VERSION_1.iter().fold(digits, |digits, (now, then)| {
        assert_eq!(digits.matches(now).count(), 1);
        digits.replace(now, then)
    });
    read_all(&open(&bytes(&of_version_1)), &entries).unwrap();
}
