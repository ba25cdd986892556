//! Guards against what only one order of events in a million shows: lost wake-ups, early acknowledgements, deadlocks.
//!
//! The engine runs on the locks and threads of shuttle, a model checker, which decides at each of them who goes on.
//! Small scenarios go through every order with so many preemptions, larger ones through many orders by chance. `cargo
//! xtask test` has a step for it; by hand:
//!
//! ```text
//! RUSTFLAGS='--cfg shuttle' cargo test --target-dir target/shuttle --test interleavings
//! ```
//!
//! A failure prints its schedule. `PUMICE_SCHEDULE='91…'` and the test's name run just that one again.

#[cfg(shuttle)]
mod disk;
#[cfg(shuttle)]
mod dropped;
#[cfg(shuttle)]
#[allow(dead_code)] // A part of it is for other tests.
#[path = "../support/effort.rs"]
mod effort;
#[cfg(shuttle)]
mod explore;
#[cfg(shuttle)]
mod failures;
#[cfg(shuttle)]
#[path = "../support/figures.rs"]
mod figures;
#[cfg(shuttle)]
mod views;
#[cfg(shuttle)]
mod waiting;
#[cfg(shuttle)]
mod world;
#[cfg(shuttle)]
mod writes;

#[cfg(not(shuttle))]
#[test]
fn is_compiled_for_the_model_checker() {
    panic!("nothing was checked; see the command at the top of tests/interleavings/main.rs");
}
