//! Bytes in flight: images wait to be read until those before them have left.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A bounded number of bytes that work in flight holds.
pub(super) struct Budget {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    limit: u64,
    held: u64,
}

impl Budget {
    pub fn new(limit: u64) -> Self {
        Self { state: Mutex::new(State { limit, held: 0 }), freed: Condvar::new() }
    }

    /// Waits until `bytes` fit. Something larger than the whole budget goes alone.
    pub fn acquire(&self, bytes: u64) {
        let mut state = self.lock();
        while state.held > 0 && state.held.saturating_add(bytes) > state.limit {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.held = state.held.saturating_add(bytes);
    }

    /// Gives `bytes` back.
    pub fn release(&self, bytes: u64) {
        self.lock().held -= bytes;
        self.freed.notify_all();
    }

    /// Lets everybody through from now on: the work is ending, and what is held will not be given back.
    pub fn lift(&self) {
        self.lock().limit = u64::MAX;
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_goes_on_when_the_work_ends() {
        let budget = Budget::new(10);
        budget.acquire(8);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.acquire(5));
            budget.lift();
            waiting.join().unwrap();
        });
        assert_eq!(budget.lock().held, 13);
    }
}
