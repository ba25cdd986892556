//! Where the content of a file stands in its frames.

use super::sealing::{FileId, HEADER, Prefix};

/// A part of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where in the content it begins.
    pub(super) offset: u64,
    /// How many of its bytes still count: a later frame may have cut it.
    pub(super) len: u64,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A frame at that position of the file, of that length.
    Frame { position: u64, bytes: u64 },
    /// Bytes that are no frame.
    Damage { position: u64 },
}

impl Extent {
    pub(super) fn end(&self) -> u64 {
        self.offset + self.len
    }

    /// Where it stands in the file.
    pub(super) fn position(&self) -> u64 {
        match self.place {
            Place::Frame { position, .. } | Place::Damage { position } => position,
        }
    }
}

/// How many of the first `extents`, at least one, are frames that follow each other in at most `bytes` of the file, and how many
/// bytes of it these are.
pub(super) fn run(extents: &[Extent], bytes: u64) -> (usize, u64) {
    let start = extents.first().map_or(0, Extent::position);
    let (mut count, mut len) = (0, 0);
    for extent in extents {
        match extent.place {
            Place::Frame { position, bytes: frame }
                if position == start + len && (count == 0 || len + frame <= bytes) =>
            {
                count += 1;
                len += frame;
            }
            _ => break,
        }
    }
    (count.max(1), len)
}

/// The extents of a file, in the order of both content and positions.
#[derive(Clone)]
pub(super) struct Extents {
    pub(super) file: FileId,
    list: Vec<Extent>,
    /// Where the next frame is to stand.
    pub(super) position: u64,
    /// Bytes behind the last frame that are neither a frame nor zeros, told as content so that whoever reads the file sees them.
    pub(super) tail: u64,
}

impl Extents {
    /// Of a file with nothing but a header.
    pub(super) fn new(file: FileId) -> Self {
        Self { file, list: Vec::new(), position: HEADER as u64, tail: 0 }
    }

    /// Where the content of the frames ends.
    pub(super) fn end(&self) -> u64 {
        self.list.last().map_or(0, Extent::end)
    }

    /// The length of the content, with what is torn behind it.
    pub(super) fn len(&self) -> u64 {
        self.end() + self.tail
    }

    /// Takes the frame at the end.
    pub(super) fn push(&mut self, frame: Prefix) {
        self.cut(frame.offset);
        let (position, bytes) = (self.position, frame.frame_len());
        if frame.len > 0 {
            let place = Place::Frame { position, bytes };
            self.list.push(Extent { offset: frame.offset, len: u64::from(frame.len), place });
        }
        self.position = position + bytes;
    }

    /// Notes that there is no frame up to `position`, where one begins with the content at `offset`.
    pub(super) fn push_damage(&mut self, position: u64, offset: u64) {
        let end = self.end();
        if offset > end {
            let place = Place::Damage { position: self.position };
            self.list.push(Extent { offset: end, len: offset - end, place });
        }
        self.position = position;
    }

    /// Forgets the content from `offset` on.
    pub(super) fn cut(&mut self, offset: u64) {
        while self.list.last().is_some_and(|last| last.offset >= offset) {
            self.list.pop();
        }
        if let Some(last) = self.list.last_mut() {
            last.len = last.len.min(offset - last.offset);
        }
    }

    /// The extents with content from `offset` to `end`.
    pub(super) fn within(&self, offset: u64, end: u64) -> &[Extent] {
        let from = self.list.partition_point(|extent| extent.end() <= offset);
        let to = self.list.partition_point(|extent| extent.offset < end);
        self.list.get(from..to).unwrap_or_default()
    }

    /// To what position the file can be cut so that its content ends at `offset`; nothing where only another frame can say so.
    pub(super) fn cut_position(&self, offset: u64) -> Option<u64> {
        let at = self.list.partition_point(|extent| extent.end() <= offset);
        let (before, behind) = self.list.split_at_checked(at)?;
        // Behind damage only a frame says how much content that is.
        if before.iter().any(|extent| matches!(extent.place, Place::Damage { .. })) {
            return None;
        }
        match behind.first() {
            None => Some(self.position),
            Some(first) if first.offset == offset => match first.place {
                Place::Frame { position, .. } | Place::Damage { position } => Some(position),
            },
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Extents {
        let mut extents = Extents::new(FileId::of_test());
        for (offset, len) in [(0, 100), (100, 50), (150, 10)] {
            extents.push(Prefix { offset, len });
        }
        extents
    }

    fn found(extents: &Extents) -> Vec<(u64, u64)> {
        extents.within(0, u64::MAX).iter().map(|extent| (extent.offset, extent.len)).collect()
    }

    #[test]
    fn a_frame_that_begins_earlier_cuts_what_was_there() {
        let mut extents = three();
        extents.push(Prefix { offset: 120, len: 0 });
        assert_eq!(found(&extents), [(0, 100), (100, 20)]);
        extents.push(Prefix { offset: 120, len: 5 });
        assert_eq!((found(&extents), extents.end()), (vec![(0, 100), (100, 20), (120, 5)], 125));
        extents.push(Prefix { offset: 0, len: 7 });
        assert_eq!(found(&extents), [(0, 7)]);
    }

    #[test]
    fn only_what_overlaps_is_within() {
        let extents = three();
        let offsets = |from, to| extents.within(from, to).iter().map(|e| e.offset).collect::<Vec<_>>();
        assert_eq!(offsets(0, 100), [0]);
        assert_eq!(offsets(99, 101), [0, 100]);
        assert_eq!(offsets(100, 101), [100]);
        assert!(offsets(160, 170).is_empty());
    }

    #[test]
    fn files_are_cut_between_frames_and_never_bring_back_what_was_cut() {
        let mut extents = three();
        let second = HEADER as u64 + Prefix { offset: 0, len: 100 }.frame_len();
        assert_eq!(extents.cut_position(100), Some(second));
        assert_eq!(extents.cut_position(160), Some(extents.position));
        assert_eq!(extents.cut_position(101), None);
        extents.push(Prefix { offset: 101, len: 0 });
        extents.push(Prefix { offset: 101, len: 9 });
        assert_eq!(
            extents.cut_position(101),
            Some(extents.position - Prefix { offset: 101, len: 9 }.frame_len())
        );
        extents.push_damage(extents.position + 1000, 200);
        extents.push(Prefix { offset: 200, len: 1 });
        assert_eq!(found(&extents)[3..], [(110, 90), (200, 1)]);
        assert_eq!(extents.cut_position(200), None);
        assert!(extents.cut_position(110).is_some());
    }
}
