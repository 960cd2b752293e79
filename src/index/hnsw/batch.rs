//! The builder `batch`: nodes are inserted in batches. Those of a batch look for their neighbours in the graph of all
//! earlier ones at the same time, and are linked in when all have looked (after Manohar et al., ParlayANN, PPoPP 2024).
//! Then every node looks again, now among all: the first ones saw next to nothing. The same graph for any number of
//! threads, since nobody sees what another thread does.

use std::ops::Range;

use rayon::prelude::*;

use super::layers::{HnswParameters, Layers, Told};
use super::points::{Candidate, Chooser, Points};
use super::reverse::link_back;
use super::search::{NO_LINK, Ranked, Walker};

/// A batch has at most one node for this many that are there already: its nodes do not see each other.
const EARLIER_NODES: usize = 16;
/// The most nodes of a batch.
const BATCH_NODES: usize = 4096;
/// A node that looks again has one node in view for so many that it had the first time: it begins among its neighbours.
const FIRST_VIEWED: usize = 2;

/// What a thread needs of memory.
#[derive(Default)]
struct Scratch {
    walker: Walker,
    entries: Vec<u32>,
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
    // To look again takes about half as long as to be inserted.
    let done = |inserted: usize, again: usize| (2 * inserted + again) / 3;
    let mut inserted = 1.min(count);
    for &size in sizes.iter().rev() {
        while inserted < size {
            let batch = inserted..size.min(inserted + (inserted / EARLIER_NODES).clamp(1, BATCH_NODES));
            inserted = batch.end;
            growing.link(batch.start, batch, parameters.ef_construction);
            if told(done(inserted, 0)).is_break() {
                return None;
            }
        }
        if size < count {
            // What will be a layer of its own is the graph as it is now.
            growing.upper.push(growing.bottom[..size * degree].to_vec());
        }
    }
    for start in (0..count).step_by(BATCH_NODES) {
        let end = count.min(start + BATCH_NODES);
        growing.link(count, start..end, parameters.ef_construction / FIRST_VIEWED);
        if told(done(count, end)).is_break() {
            return None;
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
    /// Links the nodes of a batch with what each finds among the first `inserted` nodes, both ways.
    fn link(&mut self, inserted: usize, batch: Range<usize>, ef: usize) {
        let neighbours = |scratch: &mut Scratch, node| self.neighbours(node as u32, inserted, ef, scratch);
        let found: Vec<Vec<Candidate>> =
            batch.clone().into_par_iter().map_init(Scratch::default, neighbours).collect();
        let mut edges: Vec<(u32, Candidate)> = Vec::new();
        for (node, chosen) in batch.zip(found) {
            let node = node as u32;
            edges.extend(chosen.iter().map(|&to| (to.node, Candidate { node, ..to })));
            edges.extend(chosen.into_iter().map(|to| (node, to)));
        }
        link_back(self.points, &mut self.bottom, self.parameters.degree(), edges);
    }

    /// The neighbours of `node` among the first `inserted` nodes; it may be one of them.
    fn neighbours(&self, node: u32, inserted: usize, ef: usize, scratch: &mut Scratch) -> Vec<Candidate> {
        let Scratch { walker, entries, chooser, query, candidates, chosen } = scratch;
        let (points, degree) = (self.points, self.parameters.degree());
        points.query(node, query);
        let upper = self.upper.iter().map(|links| points.layer(links, degree));
        walker.descend(upper, query, ef.saturating_sub(degree), entries);
        if (node as usize) < inserted {
            entries.push(node);
        }
        let bottom = points.layer(&self.bottom[..inserted * degree], degree);
        let found = walker.walk(bottom, query, entries, ef, ef);
        let length = points.length(node);
        let candidate = |found: &Ranked| Candidate { distance: length - found.score(), node: found.node() };
        candidates.clear();
        candidates.extend(found.iter().filter(|found| found.node() != node).map(candidate));
        chooser.choose(points, candidates, degree, chosen);
        chosen.clone()
    }
}
