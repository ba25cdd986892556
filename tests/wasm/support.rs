//! What native tests use too.

#[path = "../support/conformance.rs"]
pub mod conformance;
#[path = "../support/model.rs"]
pub mod model;
#[path = "../support/pause.rs"]
pub mod pause;
#[path = "../support/steps.rs"]
pub mod steps;
