//! The names in `archive/`: what a file is, and which part of the history it holds, told without reading it.
//!
//! A segment's name has the checksum of its last record, so that two files of one name hold the same records, whatever
//! became of the log in between.

/// A segment of the log, cut off behind its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchivedSegment {
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// When the last record was written, in Unix milliseconds.
    pub(crate) time: u64,
    /// The checksum of the last record.
    pub(crate) checksum: u32,
}

/// A snapshot file, as it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchivedSnapshot {
    pub(crate) epoch: u64,
    pub(crate) base: u64,
    pub(crate) sequence: u64,
}

/// How much history a database keeps. Of several the highest generation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetentionMark {
    pub(crate) generation: u64,
    pub(crate) kept: Kept,
}

/// What a [`RetentionMark`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Nothing,
    /// For so many milliseconds, and so many bytes of it at most.
    Within(Option<u64>, Option<u64>),
}

impl ArchivedSegment {
    pub(crate) fn file_name(self) -> String {
        let Self { epoch, first, last, time, checksum } = self;
        format!("archive/{epoch:010}-{first:020}-{last:020}-{time:013}-{checksum:08x}.log")
    }

    pub(crate) fn parse_name(name: &str) -> Option<Self> {
        let [epoch, first, last, time, checksum] = parts(name, ".log")?;
        let parsed = Self {
            epoch: epoch.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            time: time.parse().ok()?,
            checksum: u32::from_str_radix(checksum, 16).ok()?,
        };
        (parsed.file_name() == name && parsed.first <= parsed.last.saturating_add(1)).then_some(parsed)
    }
}

impl ArchivedSnapshot {
    pub(crate) fn file_name(self) -> String {
        let Self { epoch, base, sequence } = self;
        format!("archive/{epoch:010}-{sequence:020}-{base:020}.snapshot")
    }

    pub(crate) fn parse_name(name: &str) -> Option<Self> {
        let [epoch, sequence, base] = parts(name, ".snapshot")?;
        let parsed =
            Self { epoch: epoch.parse().ok()?, base: base.parse().ok()?, sequence: sequence.parse().ok()? };
        (parsed.file_name() == name && parsed.base < parsed.sequence).then_some(parsed)
    }
}

impl RetentionMark {
    pub(crate) fn file_name(self) -> String {
        let number = |n: Option<u64>| n.map_or_else(|| "all".to_owned(), |n| n.to_string());
        let kept = match self.kept {
            Kept::Nothing => "off".to_owned(),
            Kept::Within(time, bytes) => format!("{}-{}", number(time), number(bytes)),
        };
        format!("archive/{:010}-{kept}.retention", self.generation)
    }

    pub(crate) fn parse_name(name: &str) -> Option<Self> {
        let number = |text: &str| if text == "all" { Some(None) } else { text.parse().ok().map(Some) };
        let (generation, kept) = if let Some([generation, "off"]) = parts(name, ".retention") {
            (generation, Kept::Nothing)
        } else {
            let [generation, time, bytes] = parts(name, ".retention")?;
            (generation, Kept::Within(number(time)?, number(bytes)?))
        };
        let parsed = Self { generation: generation.parse().ok()?, kept };
        (parsed.file_name() == name).then_some(parsed)
    }
}

fn parts<'n, const N: usize>(name: &'n str, ending: &str) -> Option<[&'n str; N]> {
    let parts: Vec<_> = name.strip_prefix("archive/")?.strip_suffix(ending)?.split('-').collect();
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let segment =
            ArchivedSegment { epoch: 2, first: 101, last: 180, time: 1_790_000_000_000, checksum: 0xab };
        let name = "archive/0000000002-00000000000000000101-00000000000000000180-1790000000000-000000ab.log";
        assert_eq!(segment.file_name(), name);
        assert_eq!(ArchivedSegment::parse_name(name), Some(segment));
        let backward = ArchivedSegment { last: 99, ..segment };
        assert_eq!(ArchivedSegment::parse_name(&backward.file_name()), None);

        let snapshot = ArchivedSnapshot { epoch: 1, base: 0, sequence: 42 };
        let name = "archive/0000000001-00000000000000000042-00000000000000000000.snapshot";
        assert_eq!(snapshot.file_name(), name);
        assert_eq!(ArchivedSnapshot::parse_name(name), Some(snapshot));

        let kept = [
            (Kept::Within(Some(5), None), "5-all"),
            (Kept::Within(None, Some(9)), "all-9"),
            (Kept::Within(Some(0), Some(1)), "0-1"),
            (Kept::Nothing, "off"),
        ];
        for (kept, end) in kept {
            let mark = RetentionMark { generation: 3, kept };
            assert_eq!(mark.file_name(), format!("archive/0000000003-{end}.retention"));
            assert_eq!(RetentionMark::parse_name(&mark.file_name()), Some(mark));
        }
        for other in ["archive/x-y-z.retention", "archive/3-5-all.retention", "0000000003-5-all.retention"] {
            assert_eq!(RetentionMark::parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_names_of_files() {
        let largest = ArchivedSegment {
            epoch: u64::MAX,
            first: u64::MAX,
            last: u64::MAX,
            time: u64::MAX,
            checksum: u32::MAX,
        };
        assert_eq!(crate::storage::validate_name(&largest.file_name()).ok(), Some(()));
    }
}
