//! What tells an encrypted database without its key: the beginning of its files, and the names of its key files.

/// What every file of an encrypted database begins with.
pub(crate) const MAGIC: &[u8; 19] = b"pumice encrypted 1\n";

/// What a key file begins with, and so the snapshot file of an encrypted database, for there the key file stands first.
pub(crate) const KEY_MAGIC: &[u8; 13] = b"{\"pumice_key\"";

/// The name of a key file. The highest generation that is whole counts.
#[cfg_attr(not(feature = "encryption"), allow(dead_code))] // Only what writes encrypted databases makes names.
pub(crate) fn key_file_name(generation: u32) -> String {
    format!("encryption.{generation}.key")
}

/// Which generation's key file `name` is.
pub(crate) fn parse_key_file_name(name: &str) -> Option<u32> {
    let generation = name.strip_prefix("encryption.")?.strip_suffix(".key")?;
    let generation = generation.parse().ok().filter(|_| !generation.starts_with(['0', '+']))?;
    Some(generation)
}

#[cfg(all(test, feature = "encryption"))]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(parse_key_file_name(&key_file_name(12)), Some(12));
        for other in [
            "encryption.key",
            "encryption..key",
            "encryption.01.key",
            "encryption.+1.key",
            "encryption.1.keys",
            "1.key",
        ] {
            assert_eq!(parse_key_file_name(other), None, "{other}");
        }
    }
}
