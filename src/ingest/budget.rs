//! Bytes in flight: images wait to be read until those before them have left.

use std::sync::{Condvar, Mutex, PoisonError};

/// A bounded number of bytes that work in flight holds.
pub(super) struct Budget {
    limit: u64,
    held: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self { limit, held: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits until `bytes` fit. Something larger than the whole budget goes alone.
    pub fn acquire(&self, bytes: u64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > 0 && *held + bytes > self.limit {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += bytes;
    }

    /// Gives `bytes` back.
    pub fn release(&self, bytes: u64) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.freed.notify_all();
    }
}
