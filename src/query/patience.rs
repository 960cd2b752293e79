//! How long an answer is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::QueryError;

/// How long somebody waits for an answer; without end, where nothing is said. Clones are one and the same wait.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    until: Option<Instant>,
    is_over: Arc<AtomicBool>,
}

impl Patience {
    /// Waits until then: what was not looked at by then is not in the answer.
    pub fn until(deadline: Instant) -> Self {
        Self { until: Some(deadline), ..Self::default() }
    }

    /// Says that nobody waits any more: what runs ends without an answer.
    pub fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub fn is_given_up(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Whether it is worth going on.
    ///
    /// # Errors
    /// [`QueryError::GivenUp`] where nobody waits any more.
    pub fn go_on(&self) -> Result<(), QueryError> {
        match self.is_given_up() {
            true => Err(QueryError::GivenUp),
            false => Ok(()),
        }
    }

    /// The same wait, but not beyond a deadline.
    pub(super) fn at_most(&self, deadline: Option<Instant>) -> Self {
        let until = self.until.into_iter().chain(deadline).min();
        Self { until, ..self.clone() }
    }

    /// What is left of the time; none where it has no end.
    pub(super) fn left(&self) -> Option<Duration> {
        Some(self.until?.saturating_duration_since(Instant::now()))
    }

    /// The same wait, but for a share of what is left of the time.
    pub(super) fn share(&self, share: f32) -> Self {
        self.at_most(self.left().map(|left| Instant::now() + left.mul_f32(share)))
    }

    /// Whether the time is over.
    pub(super) fn is_late(&self) -> bool {
        self.is_given_up() || self.until.is_some_and(|until| Instant::now() > until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts_and_giving_up_reaches_every_clone() {
        let now = Instant::now();
        let patience = Patience::until(now + Duration::from_secs(3600));
        assert!(!patience.is_late() && !patience.at_most(None).is_late());
        let hurried = patience.at_most(Some(now));
        assert!(hurried.is_late() && hurried.go_on().is_ok());
        assert!(hurried.at_most(Some(now + Duration::from_secs(3600))).is_late());
        hurried.give_up();
        assert!(patience.is_late() && matches!(patience.go_on(), Err(QueryError::GivenUp)));
    }
}
