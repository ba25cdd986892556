//! Which writes of a segment may not be durable.

use super::Chain;
use std::collections::VecDeque;

/// Writes of which nothing has said yet that they are durable, in order: number, what it continues, where it stands.
#[derive(Default)]
pub(super) struct Unproven(VecDeque<(u64, Chain, usize)>);

impl Unproven {
    pub(super) fn add(&mut self, sequence: u64, before: Chain, at: usize) {
        self.0.push_back((sequence, before, at));
    }

    /// Everything up to `watermark` is durable.
    pub(super) fn prove(&mut self, watermark: u64) {
        while self.0.front().is_some_and(|(sequence, ..)| *sequence <= watermark) {
            self.0.pop_front();
        }
    }

    pub(super) fn first(&self) -> Option<(Chain, usize)> {
        self.0.front().map(|(_, before, at)| (*before, *at))
    }
}
