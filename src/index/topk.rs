//! The best k of a stream of scores. Higher similarity first, then the lower row.

use std::cmp::Ordering;

/// Scores that are compared with the bar at a time.
const LANES: usize = 32;

/// A found vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Similarity with the query.
    pub similarity: f32,
    /// Row in the vectors.
    pub row: u64,
}

impl Neighbour {
    /// Whether `self` comes before `other` in an answer.
    fn precedes(&self, other: &Neighbour) -> bool {
        self.order(other).is_lt()
    }

    /// The order of an answer.
    pub(super) fn order(&self, other: &Neighbour) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.row.cmp(&other.row))
    }
}

/// Keeps the best `k` neighbours seen.
#[derive(Clone, Debug)]
pub struct TopK {
    k: usize,
    /// Best first.
    best: Vec<Neighbour>,
}

impl TopK {
    /// Nothing seen yet.
    pub fn new(k: usize) -> Self {
        Self { k, best: Vec::with_capacity(k.min(1024)) }
    }

    /// The similarity that a new one must reach; below it, [`TopK::push`] need not be called.
    pub fn bar(&self) -> f32 {
        match self.best.last() {
            Some(last) if self.best.len() >= self.k => last.similarity,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Takes one more into account.
    pub fn push(&mut self, neighbour: Neighbour) {
        let full = self.best.len() >= self.k;
        // What is no number comes from numbers too large to be compared, and is near nothing.
        let is_none = self.k == 0 || neighbour.similarity.is_nan();
        if is_none || full && !self.best.last().is_some_and(|last| neighbour.precedes(last)) {
            return;
        }
        let at = self.best.partition_point(|held| held.precedes(&neighbour));
        if full {
            self.best.pop();
        }
        self.best.insert(at, neighbour);
    }

    /// Takes the rows from `first` into account, which have these scores. Most are below the bar, and are not looked at one
    /// by one.
    pub fn push_all(&mut self, first: u64, scores: &[f32]) {
        for (first, scores) in (first..).step_by(LANES).zip(scores.chunks(LANES)) {
            let bar = self.bar();
            if scores.iter().fold(false, |any, &similarity| any | (similarity >= bar)) {
                for (row, &similarity) in (first..).zip(scores) {
                    if similarity >= self.bar() {
                        self.push(Neighbour { similarity, row });
                    }
                }
            }
        }
    }

    /// The best of both.
    pub fn merge(mut self, other: TopK) -> TopK {
        other.best.into_iter().for_each(|neighbour| self.push(neighbour));
        self
    }

    /// Best first.
    pub fn into_vec(self) -> Vec<Neighbour> {
        self.best
    }
}
