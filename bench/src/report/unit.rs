//! How numbers are written.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    /// In whatever unit of time reads best.
    Seconds,
    /// In whatever unit of bytes reads best.
    Bytes,
    /// As it is.
    Number,
}

impl Unit {
    /// About three digits, and a unit that suits them.
    pub fn text(self, value: f64) -> String {
        let scales: &[(f64, &str)] = match self {
            Self::PerSecond => &[(1e6, " M/s"), (1e3, " k/s"), (1.0, " /s")],
            Self::Seconds => &[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs")],
            Self::Bytes => &[(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")],
            Self::Number => &[(1.0, "")],
        };
        let fits = scales.iter().find(|(scale, _)| value.abs() >= *scale * 0.9995).or(scales.last());
        let (scale, name) = fits.copied().unwrap_or((1.0, ""));
        format!("{}{name}", three_digits(value / scale))
    }
}

pub fn three_digits(value: f64) -> String {
    let digits = match value.abs() {
        small if small >= 99.95 => 0,
        small if small >= 9.995 => 1,
        0.0 => 0,
        small if small >= 0.0995 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit_that_suits_them() {
        for (unit, value, text) in [
            (Unit::PerSecond, 1_234_567.0, "1.23 M/s"),
            (Unit::PerSecond, 47_000.0, "47.0 k/s"),
            (Unit::Seconds, 0.000_612, "612 µs"),
            (Unit::Seconds, 0.0123, "12.3 ms"),
            (Unit::Bytes, 150e6, "150 MB"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 999_900.0, "1.00 MB"),
            (Unit::Number, 1.0, "1.00"),
            (Unit::Number, 0.0123, "0.0123"),
        ] {
            assert_eq!(unit.text(value), text);
        }
    }
}
