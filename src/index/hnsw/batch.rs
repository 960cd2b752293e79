//! The builder `batch`: nodes are inserted in batches. Those of a batch look for their neighbours in the graph of all
//! earlier ones at the same time, and are linked in when all have looked (after Manohar et al., ParlayANN, PPoPP 2024).
//! The same graph for any number of threads, since nobody sees what another thread does.

use std::ops::Range;

use rayon::prelude::*;

use super::layers::{HnswParameters, Layers, Told};
use super::points::{Candidate, Chooser, Points, write_links};
use super::reverse::link_back;
use super::search::{NO_LINK, Ranked, Walker};

/// A batch has at most one node for this many that are there already: its nodes do not see each other.
const EARLIER_NODES: usize = 16;
/// The most nodes of a batch.
const BATCH_NODES: usize = 4096;

/// What a thread needs of memory.
#[derive(Default)]
struct Scratch {
    walker: Walker,
    chooser: Chooser,
    query: Vec<i16>,
    candidates: Vec<Candidate>,
    chosen: Vec<Candidate>,
}

/// Builds the layers of `points`; `told` is asked after each batch.
pub(super) fn build(points: &Points<'_>, parameters: &HnswParameters, told: Told<'_>) -> Option<Layers> {
    let (count, degree) = (points.len(), parameters.degree());
    let mut growing =
        Growing { points, parameters, bottom: vec![NO_LINK; count * degree], upper: Vec::new() };
    let sizes = Layers::sizes(count, parameters.m);
    let mut inserted = 1.min(count);
    for &size in sizes.iter().rev() {
        while inserted < size {
            let batch = inserted..size.min(inserted + (inserted / EARLIER_NODES).clamp(1, BATCH_NODES));
            inserted = batch.end;
            growing.insert(batch);
            if told(inserted).is_break() {
                return None;
            }
        }
        if size < count {
            // What will be a layer of its own is the graph as it is now.
            growing.upper.push(growing.bottom[..size * degree].to_vec());
        }
    }
    let Growing { bottom, mut upper, .. } = growing;
    upper.reverse();
    Some(Layers { links: std::iter::once(bottom).chain(upper).collect(), degree })
}

struct Growing<'a> {
    points: &'a Points<'a>,
    parameters: &'a HnswParameters,
    bottom: Vec<u32>,
    /// From the top.
    upper: Vec<Vec<u32>>,
}

impl Growing<'_> {
    fn insert(&mut self, batch: Range<usize>) {
        let degree = self.parameters.degree();
        let found: Vec<Vec<Candidate>> = batch
            .clone()
            .into_par_iter()
            .map_init(Scratch::default, |scratch, node| self.neighbours(node as u32, batch.start, scratch))
            .collect();
        for (node, chosen) in batch.clone().zip(&found) {
            write_links(&mut self.bottom[node * degree..][..degree], chosen);
        }
        let mut edges: Vec<(u32, Candidate)> = Vec::new();
        for (node, chosen) in batch.zip(found) {
            let back = |to: Candidate| (to.node, Candidate { node: node as u32, ..to });
            edges.extend(chosen.into_iter().map(back));
        }
        link_back(self.points, &mut self.bottom, degree, edges);
    }

    /// The neighbours of `node` among the first `inserted` nodes.
    fn neighbours(&self, node: u32, inserted: usize, scratch: &mut Scratch) -> Vec<Candidate> {
        let Scratch { walker, chooser, query, candidates, chosen } = scratch;
        let degree = self.parameters.degree();
        self.points.query(node, query);
        let mut entry = 0;
        for links in &self.upper {
            entry = walker.descend(self.points.layer(links, degree), query, entry);
        }
        let bottom = self.points.layer(&self.bottom[..inserted * degree], degree);
        let ef = self.parameters.ef_construction;
        let found = walker.walk(bottom, query, entry, ef, ef);
        let length = self.points.length(node);
        let candidate = |found: &Ranked| Candidate { distance: length - found.score(), node: found.node() };
        candidates.clear();
        candidates.extend(found.iter().map(candidate));
        chooser.choose(self.points, candidates, degree, chosen);
        chosen.clone()
    }
}
