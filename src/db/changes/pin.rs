//! A pin: keeps the part of the log in place that a feed may still need.

use crate::core::Core;
use crate::storage::Storage;
use crate::sync::{Mutex, PoisonError};
use std::sync::Arc;

pub(super) struct Pin<S: Storage> {
    core: Arc<Core<S>>,
    /// From this record on the log stays, unless the pin was released.
    from: Mutex<Option<u64>>,
}

impl<S: Storage> Pin<S> {
    /// Keeps what follows `after`. To be made under the lock of `core`'s files.
    pub(super) fn new(core: Arc<Core<S>>, pins: &mut crate::core::Pins, after: u64) -> Self {
        pins.add(after + 1);
        Self { core, from: Mutex::new(Some(after + 1)) }
    }

    /// Lets everything up to `through` go.
    pub(super) fn move_to(&self, through: u64) {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = *from
            && through >= before
        {
            *from = Some(through + 1);
            self.core.repin(before, *from);
        }
    }

    /// Lets everything go, for good.
    pub(super) fn release(&self) {
        let from = self.from.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(from) = from {
            self.core.repin(from, None);
        }
    }
}

impl<S: Storage> Drop for Pin<S> {
    fn drop(&mut self) {
        self.release();
    }
}
