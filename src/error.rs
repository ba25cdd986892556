//! The one error type: a coarse kind to branch on, and a message that says what happened, where, and what to do.

use std::fmt;
use std::sync::Arc;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of failure an [`Error`] is. More kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Another process or tab holds the database.
    Busy,
    /// The handle was closed.
    Closed,
    /// Stored bytes are not what was written.
    Corrupt,
    /// The disk or the quota is full.
    Full,
    /// The caller passed something that cannot be stored or asked for.
    InvalidArgument,
    /// A name, key, value or nesting exceeds its limit.
    TooLarge,
    /// The operating system or the browser failed an operation.
    Io,
    /// An earlier failure stopped all writing; reopen the database.
    Poisoned,
    /// The operation did not finish in time.
    Timeout,
    /// This platform or this handle cannot do that.
    Unsupported,
    /// The file was written by a newer version of Pumice.
    Version,
    /// The thing asked for does not exist (any more).
    NotFound,
    /// The database was opened read-only.
    ReadOnly,
}

impl ErrorKind {
    /// The stable text form, for logs and other languages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::Corrupt => "corrupt",
            Self::Full => "quota",
            Self::InvalidArgument => "invalid-argument",
            Self::TooLarge => "too-large",
            Self::Io => "io",
            Self::Poisoned => "poisoned",
            Self::Timeout => "timeout",
            Self::Unsupported => "unsupported",
            Self::Version => "version",
            Self::NotFound => "not-found",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Why an operation failed. Cheap to clone: the first failure of a database is handed to everyone who waits.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    file: Option<String>,
    offset: Option<u64>,
    source: Option<std::io::Error>,
}

impl Error {
    /// An error of `kind`; `message` says what happened and what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), file: None, offset: None, source: None }))
    }

    /// Damage at `offset` (bytes from the start) of `file`.
    pub fn corrupt(file: impl Into<String>, offset: u64, message: impl Into<String>) -> Self {
        Self::at(ErrorKind::Corrupt, file, offset, message)
    }

    /// An error of `kind` that concerns what is at `offset` of `file`.
    pub(crate) fn at(
        kind: ErrorKind,
        file: impl Into<String>,
        offset: u64,
        message: impl Into<String>,
    ) -> Self {
        let (message, file) = (message.into(), Some(file.into()));
        Self(Arc::new(Inner { kind, message, file, offset: Some(offset), source: None }))
    }

    /// A failure of the operating system while doing `action` ("write", "sync", ...) to `file`.
    pub fn io(action: &str, file: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            Io::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        let advice = if kind == ErrorKind::Full { "; make room, then open the database again" } else { "" };
        let message = format!("cannot {action}: {source}{advice}");
        Self(Arc::new(Inner { kind, message, file: Some(file.into()), offset: None, source: Some(source) }))
    }

    /// The kind to branch on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The file concerned, where there is one.
    pub fn file(&self) -> Option<&str> {
        self.0.file.as_deref()
    }

    /// The offset of the damage in [`file`](Self::file), in bytes, where there is one.
    pub fn offset(&self) -> Option<u64> {
        self.0.offset
    }

    /// What happened and what to do, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match (&self.0.file, self.0.offset) {
            (Some(file), Some(offset)) => write!(f, " (file {file}, offset {offset})"),
            (Some(file), None) => write!(f, " (file {file})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.0.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}
