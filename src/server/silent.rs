//! Connections that have not said anything yet: where no place is left for another one, the oldest of them is hung up on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections that have not sent a request, in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Silent(Arc<Mutex<Listed>>);

#[derive(Default)]
struct Listed {
    next: u64,
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// The entry of a connection; gone when the connection is.
pub(super) struct Entry {
    silent: Silent,
    number: u64,
    hang_up: Arc<Notify>,
}

impl Silent {
    /// Lists a new connection.
    pub fn enter(&self) -> Arc<Entry> {
        let mut listed = self.listed();
        let (number, hang_up) = (listed.next, Arc::new(Notify::new()));
        listed.next += 1;
        listed.waiting.insert(number, hang_up.clone());
        drop(listed);
        Arc::new(Entry { silent: self.clone(), number, hang_up })
    }

    /// Hangs up on the one that has been silent for longest, where there is one.
    pub fn hang_up_on_oldest(&self) {
        if let Some((_, hang_up)) = self.listed().waiting.pop_first() {
            hang_up.notify_one();
        }
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The connection has sent a request: it stays.
    pub fn speaks(&self) {
        self.silent.listed().waiting.remove(&self.number);
    }

    /// Ends when the connection is hung up on.
    pub async fn hung_up(&self) {
        self.hang_up.notified().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.speaks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_silent_one_is_hung_up_on_and_who_spoke_is_not() {
        let silent = Silent::default();
        let [first, second, third] = [(); 3].map(|()| silent.enter());
        first.speaks();
        silent.hang_up_on_oldest();
        second.hung_up().await;
        drop(third);
        silent.hang_up_on_oldest();
        let still = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(still, first.hung_up()).await.is_err());
    }
}
