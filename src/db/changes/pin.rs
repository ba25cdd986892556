//! A pin: keeps the part of the log in place that a feed may still need.

use crate::core::Core;
use crate::storage::Storage;
use crate::sync::{Mutex, PoisonError};
use std::sync::Arc;

pub(super) struct Pin<S: Storage> {
    core: Arc<Core<S>>,
    /// From this record on the log stays.
    from: Mutex<u64>,
}

impl<S: Storage> Pin<S> {
    /// Keeps what follows `after`. To be made under the lock of `core`'s files.
    pub(super) fn new(core: Arc<Core<S>>, pins: &mut crate::core::Pins, after: u64) -> Self {
        pins.add(after + 1);
        Self { core, from: Mutex::new(after + 1) }
    }

    /// Lets everything up to `through` go.
    pub(super) fn move_to(&self, through: u64) {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        if through >= *from {
            let before = std::mem::replace(&mut *from, through + 1);
            self.core.repin(before, Some(through + 1));
        }
    }
}

impl<S: Storage> Drop for Pin<S> {
    fn drop(&mut self) {
        let from = *self.from.lock().unwrap_or_else(PoisonError::into_inner);
        self.core.repin(from, None);
    }
}
