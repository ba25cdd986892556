//! How long single operations took.

use std::time::Duration;

#[derive(Default)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took.as_nanos() as u64);
    }

    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The time that this part of the operations stayed within, in microseconds. 0 when there was none.
    pub fn within(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        self.0.get(at).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_whole_is_the_longest() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.within(0.5).to_bits(), 0.0_f64.to_bits());
        for micros in [5, 1, 3, 2, 4] {
            latencies.add(Duration::from_micros(micros));
        }
        assert_eq!((latencies.within(0.5) as u64, latencies.within(1.0) as u64), (3, 5));
    }
}
