//! The log's format as a test knows it, written anew from its description and not from the engine's code.

/// A line of a segment, without its line end, and where it begins.
#[derive(Clone, Debug)]
pub struct FileLine {
    pub offset: usize,
    pub text: Vec<u8>,
}

impl FileLine {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.text).expect("a line is JSON")
    }

    /// Where the next line begins.
    pub fn end(&self) -> usize {
        self.offset + self.text.len() + 1
    }

    pub fn is_seal(&self) -> bool {
        self.json()["cmd"] == "SEAL"
    }

    pub fn is_header(&self) -> bool {
        !self.json()["pumice"].is_null()
    }
}

/// The lines of a segment, zeros behind them left out.
pub fn lines(bytes: &[u8]) -> Vec<FileLine> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(len) = bytes[offset..].iter().position(|&b| b == b'\n') {
        found.push(FileLine { offset, text: bytes[offset..offset + len].to_vec() });
        offset += len + 1;
    }
    found
}

/// CRC-32C, bit by bit.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

/// Closes a line: `body` is the JSON object up to, and without, its closing brace. Returns the line with its line
/// end, and its checksum as the next line's `_p` must have it.
pub fn closed(body: &str) -> (String, String) {
    let checksum = format!("{:08x}", crc32c(body.as_bytes()));
    (format!("{body},\"_x\":\"{checksum}\"}}\n"), checksum)
}

/// The checksum at the end of a line.
pub fn checksum_of(line: &FileLine) -> String {
    line.json()["_x"].as_str().expect("a line ends in its checksum").to_owned()
}
