//! The end mark: a file without contents whose name says how far the log of a closed database goes.
//!
//! A log that lost its last lines whole looks like one of a moment before they were written. The mark tells: it stands
//! outside the log, and is made only after everything it speaks of is durable.

/// What the name of an end mark says. It stays true however far the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndMark {
    /// The epoch of the log it speaks of: a later one has given up history.
    pub(crate) epoch: u64,
    /// A record that the log had, durably.
    pub(crate) sequence: u64,
}

impl EndMark {
    pub(crate) fn file_name(self) -> String {
        format!("{:020}-{}.end", self.sequence, self.epoch)
    }

    pub(crate) fn parse_name(name: &str) -> Option<Self> {
        let (sequence, epoch) = name.strip_suffix(".end")?.split_once('-')?;
        let mark = Self { epoch: epoch.parse().ok()?, sequence: sequence.parse().ok()? };
        (mark.file_name() == name).then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let mark = EndMark { epoch: 2, sequence: 1042 };
        assert_eq!(mark.file_name(), "00000000000000001042-2.end");
        assert_eq!(EndMark::parse_name(&mark.file_name()), Some(mark));
        for other in
            ["1042-2.end", "00000000000000001042.end", "00000000000000001042-02.end", "x-1.end", ".end"]
        {
            assert_eq!(EndMark::parse_name(other), None, "{other}");
        }
    }
}
