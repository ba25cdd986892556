//! The documents and keys that every engine is given: the same for the same seed, on every machine.

use fastrand::Rng;
use std::fmt::Write;

const SEED: u64 = 0x5eed;
/// So many different documents are made ahead, so that making them costs the measured loops nothing.
const POOL: usize = 8192;
const WORDS: [&str; 64] = [
    "about", "above", "across", "almost", "along", "always", "amount", "answer", "around", "bridge",
    "bright", "build", "carry", "change", "circle", "clear", "coast", "common", "cover", "cross", "dance",
    "decide", "deep", "early", "earth", "engine", "enough", "every", "family", "farmer", "field", "figure",
    "finger", "follow", "forest", "garden", "gather", "glass", "ground", "harbor", "heavy", "history",
    "island", "letter", "listen", "market", "matter", "minute", "morning", "mountain", "notice", "number",
    "ocean", "paper", "pattern", "people", "planet", "quick", "reason", "river", "season", "simple",
    "travel", "window",
];
const CITIES: [&str; 8] = ["Accra", "Bergen", "Córdoba", "Hanoi", "Izmir", "Quito", "Sapporo", "Turku"];

/// Documents of about so many bytes each.
pub struct Pool(Vec<String>);

impl Pool {
    pub fn new(document_bytes: usize) -> Self {
        let mut random = Rng::with_seed(SEED);
        // Large ones are fewer, so that the pool stays in the processor's cache about as well.
        let count = POOL.min((8 << 20) / document_bytes.max(1)).max(64);
        Self((0..count).map(|_| document(&mut random, document_bytes)).collect())
    }

    pub fn get(&self, n: u64) -> &str {
        &self.0[n as usize % self.0.len()]
    }
}

fn document(random: &mut Rng, bytes: usize) -> String {
    let word = |random: &mut Rng| WORDS[random.usize(..WORDS.len())];
    let mut text =
        format!("{{\"id\":{},\"name\":\"{} {}\"", random.u32(..10_000_000), word(random), word(random));
    if bytes >= 200 {
        let _ = write!(
            text,
            ",\"age\":{},\"active\":{},\"score\":{:.4},\
             \"created\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\",\"city\":\"{}\"",
            random.u32(18..90),
            random.bool(),
            random.f64() * 100.0,
            random.u32(1..13),
            random.u32(1..29),
            random.u32(..24),
            random.u32(..60),
            CITIES[random.usize(..CITIES.len())]
        );
    }
    text.push_str(",\"notes\":\"");
    while text.len() + 2 < bytes {
        text.push_str(word(random));
        text.push(' ');
    }
    // It ends in plain words.
    text.truncate(bytes - 2);
    text.push_str("\"}");
    text
}

pub fn key(n: u64) -> String {
    format!("users/{n}")
}

/// A permutation of `0..count`, so that keys come in no order. `count` is no multiple of the prime.
pub fn scattered(n: u64, count: u64) -> u64 {
    (u128::from(n) * 2_654_435_761 % u128::from(count)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn documents_are_json_of_the_length_asked_for_and_the_same_each_time() {
        for bytes in [100, 250, 2000, 50_000] {
            let (pool, again) = (Pool::new(bytes), Pool::new(bytes));
            for n in 0..100 {
                let text = pool.get(n);
                assert!(text.len().abs_diff(bytes) <= 2, "{} bytes: {text}", text.len());
                assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
                assert_eq!(text, again.get(n));
            }
            assert_ne!(pool.get(0), pool.get(1));
        }
    }

    #[test]
    fn scattered_keys_are_a_permutation() {
        let all: HashSet<_> = (0..10_000).map(|n| scattered(n, 10_000)).collect();
        assert_eq!(all.len(), 10_000);
    }
}
