//! A graph with the vectors that it stands for: found by codes, scored by the vectors themselves.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::io::{self, Write};

use patchdex_format::ContainerWriter;
use rayon::prelude::*;

use super::codes::CodeQuery;
use super::graph::Graph;
use super::search::{Ranked, Walker};
use crate::index::{Neighbour, PatchIndex, RowSet, TopK, Vectors};

/// Nodes that a walk has seen and keeps beyond `ef`: codes may be wrong about which are the best.
const SPARE_NODES: usize = 64;
/// A node is scored by its vector as long as codes would have to be wrong by so many deviations to put it among the best.
const DEVIATIONS: f32 = 5.0;
/// Nodes are scored by their vectors whatever codes say: `k`, and one for so many in view. A vector with a number that codes
/// cut off is farther away than it seems.
const VIEWED_NODES: usize = 8;
/// Vectors that are asked for at a time.
const AHEAD_ROWS: usize = 12;

/// A searchable graph.
pub struct HnswIndex<'a> {
    /// The graph.
    pub graph: Graph<'a>,
    /// The vectors that its rows are of.
    pub vectors: Vectors<'a>,
}

/// What a thread's walks need of memory: after the first they allocate nothing.
#[derive(Default)]
struct Searcher {
    walker: Walker,
    entries: Vec<u32>,
    query: CodeQuery,
}

thread_local! {
    static SEARCHER: RefCell<Searcher> = RefCell::default();
}

impl PatchIndex for HnswIndex<'_> {
    fn search(&self, query: &[f32], k: usize, ef: usize) -> Vec<Neighbour> {
        self.search_among(query, k, ef, None)
    }

    fn search_many(&self, queries: &[f32], k: usize, ef: usize) -> Vec<Vec<Neighbour>> {
        queries.par_chunks_exact(self.vectors.dim).map(|query| self.search(query, k, ef)).collect()
    }

    fn size_bytes(&self) -> usize {
        self.graph.size_bytes()
    }

    fn write(&self, writer: &mut ContainerWriter<&mut dyn Write>) -> io::Result<()> {
        self.graph.write(writer)
    }
}

impl HnswIndex<'_> {
    /// The `k` vectors most similar to `query` that a walk finds, best first, of equal ones the lower row first; of rows in
    /// `allowed`, where it is given.
    pub fn search_among(
        &self,
        query: &[f32],
        k: usize,
        ef: usize,
        allowed: Option<&RowSet>,
    ) -> Vec<Neighbour> {
        assert_eq!(query.len(), self.vectors.dim, "a query has as many numbers as a stored vector");
        SEARCHER.with_borrow_mut(|Searcher { walker, entries, query: codes }| {
            self.graph.codebook.query(query, codes);
            self.descend(walker, codes, ef.saturating_sub(k), entries);
            let found = self.found(walker, codes, entries, ef, ef.max(k) + SPARE_NODES, allowed);
            self.best(query, codes, found, k, k + ef / VIEWED_NODES)
        })
    }

    /// The nodes that a walk begins at, into `entries`, where it has `spare` nodes in view beyond those that are asked for.
    fn descend(&self, walker: &mut Walker, query: &CodeQuery, spare: usize, entries: &mut Vec<u32>) {
        let (graph, CodeQuery { numbers, length_share, .. }) = (&self.graph, query);
        walker.descend(graph.upper(*length_share), numbers, spare, entries);
        entries.retain_mut(|entry| {
            let node = graph.entries.get(*entry as usize);
            node.inspect(|&&node| *entry = node).is_some()
        });
    }

    /// The nodes that a walk from `entries` finds, best first as codes tell: `keep` at most.
    fn found<'w>(
        &self,
        walker: &'w mut Walker,
        query: &CodeQuery,
        entries: &[u32],
        ef: usize,
        keep: usize,
        allowed: Option<&RowSet>,
    ) -> &'w [Ranked] {
        let (graph, CodeQuery { numbers, length_share, .. }) = (&self.graph, query);
        let bottom = graph.bottom(*length_share);
        match allowed {
            None => walker.walk(bottom, numbers, entries, ef, keep),
            Some(rows) => {
                let is_allowed = |node: u32| rows.contains(graph.rows[node as usize] as usize);
                walker.walk_among(bottom, numbers, entries, keep, is_allowed)
            }
        }
    }

    /// The best `k` of the nodes `found`, scored by their vectors: the first `least`, and those that may be among the best.
    fn best(
        &self,
        query: &[f32],
        codes: &CodeQuery,
        found: &[Ranked],
        k: usize,
        least: usize,
    ) -> Vec<Neighbour> {
        let Self { graph, vectors } = self;
        let (mut best, mut rest) = (TopK::new(k), found);
        loop {
            let bar = best.bar() - DEVIATIONS * codes.deviation(best.bar());
            let seen = found.len() - rest.len();
            let is_worth_it = |(at, found): &(usize, &Ranked)| {
                *at < least || codes.similarity(found.score()).partial_cmp(&bar) != Some(Ordering::Less)
            };
            let count = (seen..).zip(rest).take(AHEAD_ROWS).take_while(is_worth_it).count();
            if count == 0 {
                return best.into_vec();
            }
            let (now, later) = rest.split_at(count);
            // A damaged graph may name rows that are not there.
            let rows = || now.iter().map(|found| graph.rows[found.node() as usize] as usize);
            let rows = || rows().filter(|&row| row < vectors.len());
            rows().for_each(|row| vectors.prefetch(row));
            rows().for_each(|row| best.push(vectors.scored(query, row as u64)));
            rest = later;
        }
    }
}
