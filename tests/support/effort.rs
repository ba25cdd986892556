//! How much a run of the tests tries.

/// True with `PUMICE_BRIEF` set, as `cargo xtask test` does: of the crash states that take
/// longest, those of a pooled storage, a run then goes through a part.
pub fn is_brief() -> bool {
    std::env::var_os("PUMICE_BRIEF").is_some() && !is_soak()
}

/// True with `PUMICE_SOAK` set: many times as many cases.
pub fn is_soak() -> bool {
    std::env::var_os("PUMICE_SOAK").is_some()
}
