//! Moments and spans of time, as they are typed.

use jiff::{SpanRelativeTo, Timestamp, Unit};
use pumice::Moment;
use std::time::Duration;

/// A sequence number, or a time as RFC 3339 has it.
pub(crate) fn parse(text: &str) -> Result<Moment, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(Moment::Sequence).map_err(|_| "there is no such sequence number".to_owned());
    }
    let time: Timestamp = text.parse().map_err(|e| {
        format!("it is neither a sequence number nor a time such as 2026-03-01T12:00:00Z: {e}")
    })?;
    let millis = time.as_millisecond();
    u64::try_from(millis).map(Moment::Time).map_err(|_| "times before 1970 are not known".to_owned())
}

/// A span of time such as 7d, 12h or 90min.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let span: jiff::Span = text.parse().map_err(|e| format!("it is no time such as 7d or 12h: {e}"))?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours()));
    let seconds = seconds.map_err(|e| format!("use days, hours, minutes or seconds: {e}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

/// A span of time in its largest whole unit.
pub(crate) fn show_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "min")];
    match units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) if span.subsec_nanos() == 0 => format!("{}{name}", seconds / unit),
        _ => format!("{}s", span.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_numbers_and_times() {
        assert_eq!(parse("1042"), Ok(Moment::Sequence(1042)));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(Moment::Time(1_500)));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Ok(Moment::Time(0)));
        for wrong in ["", "yesterday", "-1", "1969-12-31T23:59:59Z", "2026-03-01", "99999999999999999999999"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn spans_are_shown_as_they_are_read() {
        for text in ["7d", "36h", "90min", "45s", "0.5s"] {
            assert_eq!(parse_span(text).map(show_span).as_deref(), Ok(text));
        }
        assert_eq!(parse_span("2w"), Ok(Duration::from_secs(14 * 24 * 60 * 60)));
        for wrong in ["", "7", "-1d", "1y"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
    }
}
