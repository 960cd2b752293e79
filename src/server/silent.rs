//! Connections that say nothing: where no place is left for another one, the one is hung up on that has been silent for longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections on which no request runs, in the order in which they fell silent.
#[derive(Clone, Default)]
pub(super) struct Silent(Arc<Mutex<Listed>>);

#[derive(Default)]
struct Listed {
    next: u64,
    waiting: BTreeMap<u64, Arc<Entry>>,
}

/// A connection.
pub(super) struct Entry {
    silent: Silent,
    hang_up: Notify,
    /// Its number among the silent ones; none while it speaks, or when it is hung up on.
    number: Mutex<Option<u64>>,
}

impl Silent {
    /// A new connection, which has not said anything yet.
    pub fn enter(&self) -> Arc<Entry> {
        let entry = Entry { silent: self.clone(), hang_up: Notify::new(), number: Mutex::default() };
        let entry = Arc::new(entry);
        entry.falls_silent();
        entry
    }

    /// Hangs up on the one that has been silent for longest, where there is one.
    pub fn hang_up_on_oldest(&self) {
        if let Some((_, entry)) = self.listed().waiting.pop_first() {
            entry.hang_up.notify_one();
        }
    }

    fn listed(&self) -> MutexGuard<'_, Listed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The connection has sent a request. Whether it still is one: otherwise it is being hung up on.
    pub fn speaks(&self) -> bool {
        let number = self.number().take();
        number.is_some_and(|number| self.silent.listed().waiting.remove(&number).is_some())
    }

    /// Its request is answered.
    pub fn falls_silent(self: &Arc<Self>) {
        let mut listed = self.silent.listed();
        let number = listed.next;
        listed.next += 1;
        listed.waiting.insert(number, self.clone());
        drop(listed);
        *self.number() = Some(number);
    }

    /// Ends when the connection is hung up on.
    pub async fn hung_up(&self) {
        self.hang_up.notified().await;
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_silent_for_longest_is_hung_up_on_and_who_speaks_is_not() {
        let silent = Silent::default();
        let [first, second, third] = [(); 3].map(|()| silent.enter());
        assert!(first.speaks());
        silent.hang_up_on_oldest();
        second.hung_up().await;
        assert!(!second.speaks(), "it is being hung up on");
        // Who was answered is silent again, for less long than the third.
        first.falls_silent();
        silent.hang_up_on_oldest();
        third.hung_up().await;
        assert!(first.speaks());
        silent.hang_up_on_oldest();
        let still = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(still, first.hung_up()).await.is_err());
    }
}
