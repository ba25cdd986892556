//! What native tests use too.

#[path = "../support/conformance.rs"]
pub mod conformance;
#[path = "../support/pause.rs"]
pub mod pause;
