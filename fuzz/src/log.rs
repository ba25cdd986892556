//! Gives mutated lines of the log right checksums and places in the chain, so that a fuzzer gets beyond those.
//!
//! Works on the text alone and knows nothing of the engine's own code.

/// `,"_x":"5be1d077"}`
const TRAILER_BYTES: usize = 17;

/// How much of a segment is mended.
#[derive(Clone, Copy, Debug)]
pub struct Mending {
    /// The checksums of lines.
    pub checksums: bool,
    /// The numbers of records, and the checksums of those before them.
    pub chain: bool,
}

/// What a segment continues, and what the next one does.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The number of the next record.
    pub next: u64,
    /// The checksum of the last record, in hexadecimal.
    pub previous: [u8; 8],
    /// Bytes of the segment before.
    pub previous_len: usize,
}

impl Link {
    /// Before the first record of a database.
    pub const START: Self = Self { next: 1, previous: *b"00000000", previous_len: 0 };
}

/// A line, without its end, that ends in its checksum. One that seems to have one already gets it anew.
pub fn line(text: &[u8]) -> Vec<u8> {
    let body = match text.len().checked_sub(TRAILER_BYTES) {
        Some(at) if text[at..].starts_with(b",\"_x\":\"") => &text[..at],
        _ => text,
    };
    let mut line = body.to_vec();
    line.extend_from_slice(format!(",\"_x\":\"{:08x}\"}}", crc32c::crc32c(body)).as_bytes());
    line
}

/// A whole segment, header and all. Returns what the next one has to continue.
pub fn segment(bytes: &[u8], mending: Mending, link: Link) -> (Vec<u8>, Link) {
    let mut out = Vec::with_capacity(bytes.len());
    let mut link = link;
    for whole in bytes.split_inclusive(|&b| b == b'\n') {
        let Some(text) = whole.strip_suffix(b"\n") else {
            out.extend_from_slice(whole);
            break;
        };
        let mut text = text.to_vec();
        let is_record = text.starts_with(b"{\"_s\":");
        if mending.chain {
            if text.starts_with(b"{\"pumice\":") {
                replace(&mut text, b"\"first\":", digits, link.next.to_string().as_bytes());
                replace(&mut text, b"\"previous\":\"", hex, &link.previous);
                replace(&mut text, b"\"previous_bytes\":", digits, link.previous_len.to_string().as_bytes());
            }
            replace(&mut text, b"\"_s\":", digits, link.next.to_string().as_bytes());
            replace(&mut text, b"\"_p\":\"", hex, &link.previous);
        }
        if mending.checksums {
            text = line(&text);
        }
        if is_record && text.len() >= TRAILER_BYTES {
            let sum = &text[text.len() - 10..text.len() - 2];
            link = Link { next: link.next.saturating_add(1), previous: sum.try_into().unwrap(), ..link };
        }
        out.extend_from_slice(&text);
        out.push(b'\n');
    }
    let previous_len = out.len();
    (out, Link { previous_len, ..link })
}

fn digits(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn hex(byte: u8) -> bool {
    byte != b'"'
}

/// Puts `new` in the place of the bytes of that kind that follow the first `label`.
fn replace(text: &mut Vec<u8>, label: &[u8], kind: fn(u8) -> bool, new: &[u8]) {
    let Some(found) = text.windows(label.len()).position(|part| part == label) else { return };
    let start = found + label.len();
    let len = text[start..].iter().take_while(|&&byte| kind(byte)).count();
    text.splice(start..start + len, new.iter().copied());
}
