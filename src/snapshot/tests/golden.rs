//! The worked example of the format's documentation, byte by byte: version 1 reads and writes exactly this.

use super::*;

const EXAMPLE: &str = "
    50554d494345534e 01000000 00000000
    30313233343536373839616263646566
    0100000000000000 0000000000000000 0500000000000000 c2c7e7d79b647912

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
    5401000000000000 01000000 00000000
    00000000000000000000000000000000
    3037c8e4c0a0ddfe 50554d4943454654
";

#[test]
fn the_documented_example() {
    let header = SnapshotHeader { store_id: *b"0123456789abcdef", epoch: 1, base: 0, sequence: 5 };
    let entries = [(key("users", "ada"), 5, Some(b"{\"n\":1}".to_vec()))];
    let expected: String = EXAMPLE.split_whitespace().collect();
    let file: Vec<u8> = (0..expected.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&expected[at..at + 2], 16).unwrap())
        .collect();
    read_all(&open(&file), &entries).unwrap();
    assert_eq!(build(header, Layout::default(), &entries, &[]), file);
}
