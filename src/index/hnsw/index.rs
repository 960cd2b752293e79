//! A graph with the vectors that it stands for: found by codes, scored by the vectors themselves.

use std::cell::RefCell;
use std::io::{self, Write};

use patchdex_format::ContainerWriter;
use rayon::prelude::*;

use super::graph::Graph;
use super::search::Walker;
use crate::index::{Effort, Neighbour, PatchIndex, RowSet, TopK, Vectors};

/// A searchable graph.
pub struct HnswIndex<'a> {
    /// The graph.
    pub graph: Graph<'a>,
    /// The vectors that its rows are of.
    pub vectors: Vectors<'a>,
    /// Numbers in a vector.
    pub dim: usize,
}

/// What a thread's walks need of memory: after the first they allocate nothing.
#[derive(Default)]
struct Searcher {
    walker: Walker,
    query: Vec<i16>,
}

thread_local! {
    static SEARCHER: RefCell<Searcher> = RefCell::default();
}

impl PatchIndex for HnswIndex<'_> {
    fn search(&self, query: &[f32], k: usize, effort: Effort) -> Vec<Neighbour> {
        self.search_among(query, k, effort, None)
    }

    fn search_many(&self, queries: &[f32], k: usize, effort: Effort) -> Vec<Vec<Neighbour>> {
        queries.par_chunks_exact(self.dim).map(|query| self.search(query, k, effort)).collect()
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
        effort: Effort,
        allowed: Option<&RowSet>,
    ) -> Vec<Neighbour> {
        SEARCHER.with_borrow_mut(|searcher| self.search_with(searcher, query, k, effort, allowed))
    }

    fn search_with(
        &self,
        searcher: &mut Searcher,
        query: &[f32],
        k: usize,
        effort: Effort,
        allowed: Option<&RowSet>,
    ) -> Vec<Neighbour> {
        assert_eq!(query.len(), self.dim, "a query has as many numbers as a stored vector");
        let Self { graph, vectors, dim } = self;
        let Searcher { walker, query: whole } = searcher;
        graph.codebook.query(query, whole);
        let entry = graph.upper().fold(0, |entry, layer| walker.descend(layer, whole, None, entry));
        let Some(&entry) = graph.entries.get(entry as usize) else { return Vec::new() };
        let (ef, keep) = (effort.ef, effort.rescored.max(k));
        let found = match allowed {
            None => walker.walk(graph.bottom(), whole, None, entry, ef, keep),
            Some(rows) => {
                let is_allowed = |node: u32| rows.contains(graph.rows[node as usize] as usize);
                walker.walk_among(graph.bottom(), whole, entry, ef.max(keep), is_allowed)
            }
        };
        let found = &found[..found.len().min(keep)];
        // A damaged graph may name rows that are not there.
        let rows = || found.iter().map(|found| graph.rows[found.node() as usize] as usize);
        let rows = || rows().filter(|&row| row < vectors.len(*dim));
        rows().for_each(|row| vectors.prefetch(*dim, row));
        let mut best = TopK::new(k);
        for row in rows() {
            let mut similarity = [0.0];
            vectors.score(query, row, &mut similarity);
            best.push(Neighbour { similarity: similarity[0], row: row as u64 });
        }
        best.into_vec()
    }
}
