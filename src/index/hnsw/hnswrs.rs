//! The builder `hnsw_rs`: nodes are inserted one by one by the crate of that name, whose bottom layer is taken out and its
//! links chosen anew, among a node's neighbours and theirs. The crate finds who is near whom; on one core that takes several
//! times as long as `batch`, and more cores do not help.
//!
//! Two runs make the same graph, for any number of threads: insertion by several threads would not, so one inserts; levels
//! come from the crate's own generator, whose seed is fixed; distances are whole numbers. Another version of the crate may
//! draw other levels: the golden bytes in the tests would tell.
//!
//! The crate leaves some nodes that no list leads to, and lists above a node's own level: the first are connected later, as
//! of every builder, the others are not read.

use std::sync::{Mutex, PoisonError};

use hnsw_rs::hnsw::Hnsw;
use hnsw_rs::prelude::Distance;
use rayon::prelude::*;

use super::layers::{HnswParameters, Layers, Told};
use super::points::{Candidate, Chooser, Points, Ruler, write_links};
use super::reverse::link_back;
use super::search::NO_LINK;

/// Levels that the crate may draw.
const LEVELS: usize = 16;
/// Nodes between two reports.
const TOLD_NODES: usize = 256;

/// What a thread needs of memory.
#[derive(Default)]
struct Scratch {
    ruler: Ruler,
    chooser: Chooser,
    near: Vec<u32>,
    candidates: Vec<Candidate>,
    chosen: Vec<Candidate>,
}

/// Builds the layers of `points`; `told` is asked now and then. An upper layer is a graph of its own over the first nodes.
pub(super) fn build(points: &Points<'_>, parameters: &HnswParameters, told: Told<'_>) -> Option<Layers> {
    let sizes = Layers::sizes(points.len(), parameters.m);
    // From the top: what takes longest is the bottom, of as many nodes as there are.
    let layers = sizes.iter().rev().map(|&size| layer(points, size, parameters, told));
    let mut links = layers.collect::<Option<Vec<_>>>()?;
    links.reverse();
    Some(Layers { links, degree: parameters.degree() })
}

/// The links of the first `size` nodes.
fn layer(points: &Points<'_>, size: usize, parameters: &HnswParameters, told: Told<'_>) -> Option<Vec<u32>> {
    let (degree, ef) = (parameters.degree(), parameters.ef_construction);
    let found = inserted(points, size, parameters, told)?;
    let chosen: Vec<Vec<Candidate>> = (0..size as u32)
        .into_par_iter()
        .map_init(Scratch::default, |scratch, node| chosen(points, &found, degree, node, ef, scratch))
        .collect();
    let mut links = vec![NO_LINK; size * degree];
    let mut edges: Vec<(u32, Candidate)> = Vec::new();
    for (node, chosen) in (0..).zip(chosen) {
        write_links(&mut links[node as usize * degree..][..degree], &chosen);
        edges.extend(chosen.into_iter().map(|to| (to.node, Candidate { node, ..to })));
    }
    link_back(points, &mut links, degree, edges);
    Some(links)
}

/// The bottom lists of the crate's graph.
fn inserted(
    points: &Points<'_>,
    size: usize,
    parameters: &HnswParameters,
    told: Told<'_>,
) -> Option<Vec<u32>> {
    let degree = parameters.degree();
    // More than 256 links an upper layer would end the process; `HnswParameters::M` allows half of that.
    let graph = Hnsw::new(parameters.m, size, LEVELS, parameters.ef_construction, Distances::new(points));
    for node in 0..size {
        graph.insert((&[node as u32], node));
        let count = node + 1;
        if (count % TOLD_NODES == 0 || count == size) && told(count).is_break() {
            return None;
        }
    }
    let mut links = vec![NO_LINK; size * degree];
    let indexed = graph.get_point_indexation();
    let levels = 0..=usize::from(graph.get_max_level_observed());
    for point in levels.flat_map(|level| indexed.get_layer_iterator(level)) {
        let lists = point.get_neighborhood_id();
        let list = &mut links[point.get_origin_id() * degree..][..degree];
        list.iter_mut().zip(&lists[0]).for_each(|(link, to)| *link = to.d_id as u32);
    }
    Some(links)
}

/// Links of `node` in different directions, among the nearest of its neighbours and of theirs in `found`.
fn chosen(
    points: &Points<'_>,
    found: &[u32],
    degree: usize,
    node: u32,
    ef: usize,
    scratch: &mut Scratch,
) -> Vec<Candidate> {
    let Scratch { ruler, chooser, near, candidates, chosen } = scratch;
    let list = |node: u32| found[node as usize * degree..][..degree].iter().filter(|&&link| link != NO_LINK);
    near.clear();
    near.extend(list(node).chain(list(node).flat_map(|&near| list(near))));
    near.sort_unstable();
    near.dedup();
    near.retain(|&near| near != node);
    candidates.clear();
    candidates.extend(ruler.distances(points, node, near));
    candidates.sort_unstable();
    candidates.truncate(ef);
    chooser.choose(points, candidates, degree, chosen);
    chosen.clone()
}

/// Squared distances between nodes. The crate gets a node's number for its vector, so that it copies no codes.
struct Distances<'a> {
    points: &'a Points<'a>,
    /// The node that was last measured from, and its code: mostly the one that is being inserted.
    from: Mutex<(u32, Vec<i16>)>,
}

impl<'a> Distances<'a> {
    fn new(points: &'a Points<'a>) -> Self {
        Self { points, from: Mutex::new((NO_LINK, Vec::new())) }
    }
}

impl Distance<u32> for Distances<'_> {
    /// Exact up to 2²⁴, then rounded to the next number that has a place in 24 bits: nearer nodes never seem farther.
    fn eval(&self, from: &[u32], to: &[u32]) -> f32 {
        let mut held = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let (node, code) = &mut *held;
        if *node != from[0] {
            *node = from[0];
            self.points.query(*node, code);
        }
        self.points.distance(code, from[0], to[0]) as f32
    }
}
