//! Finding the frames of a file, and what is none.

use super::extents::Extents;
use super::sealing::{FileId, HEADER, MAX_FRAME, OVERHEAD, PREFIX, Prefix, Sealing, read_prefix};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// How much is read at once where frames are short.
const WINDOW: usize = 64 << 10;
/// Behind a frame of that length only the next one's beginning is read.
const LONG: u64 = 4 << 10;

/// A part of the file in memory.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

/// Reads `name` from the start: its header, then its frames. `None` for a file whose making was never finished.
pub(super) async fn scan<S: Storage>(inner: &S, sealing: &Sealing, name: &str) -> Result<Option<Extents>> {
    let header = inner.read_at(name, 0, HEADER).await?;
    let Some(file) = sealing.open_header(name, &header) else {
        // Its making ends with the sync of the header, before which nothing stands behind it.
        if only_zeros(inner, name, HEADER as u64).await? {
            return Ok(None);
        }
        let message = "the file's header does not open: it is damaged, or the file is another database's, or had another name; \
             restore a backup";
        return Err(Error::corrupt(name, 0, message));
    };
    let mut extents = Extents::new(file);
    go_on(inner, sealing, name, &mut extents).await?;
    Ok(Some(extents))
}

/// Whether the file has nothing but zeros from `position` on, if anything.
async fn only_zeros<S: Storage>(inner: &S, name: &str, mut position: u64) -> Result<bool> {
    loop {
        let bytes = inner.read_at(name, position, WINDOW).await?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        if bytes.is_empty() {
            return Ok(true);
        }
        position += bytes.len() as u64;
    }
}

/// Takes in what was written since.
pub(super) async fn go_on<S: Storage>(
    inner: &S,
    sealing: &Sealing,
    name: &str,
    extents: &mut Extents,
) -> Result<()> {
    let len = inner.len(name).await?;
    let mut window = Window::default();
    let mut wanted = WINDOW;
    while extents.position < len {
        let at = extents.position;
        let bytes = window.at(inner, name, at, PREFIX, wanted).await?;
        match read_prefix(extents.file, at, bytes) {
            Some(frame)
                if at + frame.frame_len() <= len
                    && believed(inner, sealing, name, extents, frame).await? =>
            {
                wanted = if frame.frame_len() < LONG { WINDOW } else { PREFIX };
                extents.push(frame);
            }
            _ => match find_frame(inner, sealing, name, extents.file, at + 1).await? {
                Found::Frame(position, frame) => extents.push_damage(position, frame.offset),
                Found::Nothing(end) => {
                    extents.tail = end.saturating_sub(at);
                    return Ok(());
                }
            },
        }
    }
    extents.tail = 0;
    Ok(())
}

impl Window {
    /// The bytes from `at` on, `least` of them or as many as there are.
    async fn at<S: Storage>(
        &mut self,
        inner: &S,
        name: &str,
        at: u64,
        least: usize,
        wanted: usize,
    ) -> Result<&[u8]> {
        let within = |window: &Self| {
            usize::try_from(at.checked_sub(window.start)?)
                .ok()
                .filter(|from| from + least <= window.bytes.len())
        };
        if within(self).is_none() {
            *self = Self { start: at, bytes: inner.read_at(name, at, wanted.max(least)).await? };
        }
        let from = within(self).unwrap_or(0);
        Ok(self.bytes.get(from..).unwrap_or_default())
    }
}

/// A frame that continues the content is opened when it is read. One that takes something back must be true at once.
async fn believed<S: Storage>(
    inner: &S,
    sealing: &Sealing,
    name: &str,
    extents: &Extents,
    frame: Prefix,
) -> Result<bool> {
    Ok(frame.len > 0 && frame.offset == extents.end()
        || opens(inner, sealing, name, extents.file, extents.position, frame).await?)
}

async fn opens<S: Storage>(
    inner: &S,
    sealing: &Sealing,
    name: &str,
    file: FileId,
    position: u64,
    frame: Prefix,
) -> Result<bool> {
    let bytes = inner.read_at(name, position, frame.len as usize + OVERHEAD).await?;
    Ok(sealing.open_frame(file, position, &bytes).is_some())
}

enum Found {
    /// A frame, and where.
    Frame(u64, Prefix),
    /// None; behind this position there are only zeros.
    Nothing(u64),
}

/// Looks for the next frame from the position `from` on.
async fn find_frame<S: Storage>(
    inner: &S,
    sealing: &Sealing,
    name: &str,
    file: FileId,
    from: u64,
) -> Result<Found> {
    let mut end = from;
    if inner.read_at(name, from - 1, 1).await? == [0] {
        end = from - 1;
    }
    let mut start = from;
    loop {
        let bytes = inner.read_at(name, start, WINDOW + MAX_FRAME).await?;
        let last = bytes.len() < WINDOW + MAX_FRAME;
        let places = if last { bytes.len() } else { WINDOW };
        for at in 0..places {
            let position = start + at as u64;
            let rest = bytes.get(at..).unwrap_or_default();
            if let Some(frame) = read_prefix(file, position, rest)
                && opens(inner, sealing, name, file, position, frame).await?
            {
                return Ok(Found::Frame(position, frame));
            }
        }
        if let Some(last) = bytes.get(..places).and_then(|bytes| bytes.iter().rposition(|byte| *byte != 0)) {
            end = start + last as u64 + 1;
        }
        if last {
            return Ok(Found::Nothing(end));
        }
        start += places as u64;
    }
}
