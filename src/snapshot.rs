//! Snapshot files: building them and reading them in place.
