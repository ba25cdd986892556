//! Where everything goes that the command says: data to stdout, in large pieces; notes and failures to stderr.

use indicatif::{ProgressBar, ProgressStyle};
use pumice::{Error, Result};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// Buffers up to this many bytes before it writes.
const CHUNK: usize = 64 << 10;

/// Stdout, buffered. Call [`finish`](Self::finish) at the end.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// The collection named last, and the text with which a line of it begins.
    line_start: (String, Vec<u8>),
}

impl Output {
    /// A document as `{"collection":..,"key":..,"value":..}`, the value as it is.
    pub(crate) fn entry(&mut self, collection: &str, key: &str, value: &str) -> Result<()> {
        if self.line_start.0 != collection || self.line_start.1.is_empty() {
            let mut text = b"{\"collection\":".to_vec();
            quote(&mut text, collection)?;
            text.extend_from_slice(b",\"key\":");
            self.line_start = (collection.to_owned(), text);
        }
        self.buffer.extend_from_slice(&self.line_start.1);
        quote(&mut self.buffer, key)?;
        self.buffer.extend_from_slice(b",\"value\":");
        self.buffer.extend_from_slice(value.as_bytes());
        self.buffer.extend_from_slice(b"}\n");
        self.write_if_large()
    }

    pub(crate) fn line(&mut self, text: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
        self.write_if_large()
    }

    fn write_if_large(&mut self) -> Result<()> {
        if self.buffer.len() < CHUNK { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<()> {
        let written = io::stdout().lock().write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(failed)
    }

    /// Writes what is left.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.write()?;
        io::stdout().lock().flush().map_err(failed)
    }
}

/// Adds `text` as a JSON string.
fn quote(to: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(to, text).map_err(|e| failed(e.into()))
}

fn failed(error: io::Error) -> Error {
    Error::io("write", "stdout", error)
}

/// Whether stdout's reader has gone.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|e| e.downcast_ref::<io::Error>());
    source.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Things worth knowing that are no failure. Kept to the end, so that a failure is one line.
#[derive(Clone, Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    pub(crate) fn add(&mut self, note: String) {
        self.0.push(note);
    }

    pub(crate) fn print(&self) {
        for note in &self.0 {
            say("note", note);
        }
    }

    /// The failure, with the notes behind it.
    pub(crate) fn print_failure(&self, error: &Error) {
        let mut text = error.to_string();
        for note in &self.0 {
            text.push_str("; note: ");
            text.push_str(note);
        }
        say("pumice", &text);
    }
}

/// One line on stderr, whatever is in `text`.
pub(crate) fn say(who: &str, text: &str) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // Without a stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "{who}: {line}");
}

/// A sign of life on a terminal; nothing elsewhere. It goes when dropped.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn spinner(doing: &'static str) -> Self {
        Self::of(ProgressBar::new_spinner, "{spinner} {msg} {elapsed}", doing)
    }

    /// A bar of bytes; a spinner when their number is unknown.
    pub(crate) fn bytes(total: Option<u64>, doing: &'static str) -> Self {
        match total {
            Some(total) => {
                let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
                Self::of(|| ProgressBar::new(total), style, doing)
            }
            None => Self::of(ProgressBar::new_spinner, "{spinner} {msg} {bytes} {bytes_per_sec}", doing),
        }
    }

    /// A bar of documents.
    pub(crate) fn documents(total: u64, doing: &'static str) -> Self {
        let style = "{msg} {bar:30} {human_pos}/{human_len} {per_sec} {eta}";
        Self::of(|| ProgressBar::new(total), style, doing)
    }

    fn of(make: impl FnOnce() -> ProgressBar, style: &str, doing: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = make().with_message(doing);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    pub(crate) fn at(&self, position: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(position);
        }
    }

    /// For a total that becomes known on the way.
    pub(crate) fn of_total(&self, total: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
