//! What a builder sees: codes of nodes and the distances between them, in whole numbers.

use rayon::prelude::*;

use super::search::{LENGTH_UNIT, Layer, NO_LINK};
use crate::metric::Kernels;

/// Codes of the nodes of a graph to be. Their order is random: the first of them are the upper layers.
pub struct Points<'a> {
    /// Nodes × `dim`.
    pub(super) codes: &'a [i8],
    /// Numbers in a code.
    pub(super) dim: usize,
    /// Squared length of each code.
    pub(super) lengths: Vec<u32>,
}

/// A node that may become a neighbour, with its squared distance; sorts by nearness, then by node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub distance: i32,
    pub node: u32,
}

impl<'a> Points<'a> {
    pub(super) fn new(codes: &'a [i8], dim: usize) -> Self {
        let square = |code: &[i8]| code.iter().map(|&v| i32::from(v).unsigned_abs().pow(2)).sum();
        Self { codes, dim, lengths: codes.par_chunks_exact(dim).map(square).collect() }
    }

    /// Squared length of a code.
    pub(super) fn length(&self, node: u32) -> i32 {
        self.lengths[node as usize] as i32
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The layer of the first nodes, as many as there are lists in `links`: the best node is the nearest.
    pub(super) fn layer<'b>(&'b self, links: &'b [u32], degree: usize) -> Layer<'b> {
        let lengths = Some((self.lengths.as_slice(), LENGTH_UNIT));
        Layer { lengths, ..Layer::of(self.codes, self.dim, links, degree) }
    }

    /// The code of `node`.
    pub(super) fn code(&self, node: u32) -> &'a [i8] {
        &self.codes[node as usize * self.dim..][..self.dim]
    }

    /// The same, as a query.
    pub(super) fn query(&self, node: u32, out: &mut Vec<i16>) {
        out.clear();
        out.extend(self.code(node).iter().map(|&v| i16::from(v)));
    }

    /// The squared distance between two nodes, of the first of which `query` is the code.
    #[cfg(feature = "hnsw-rs")]
    pub(super) fn distance(&self, query: &[i16], from: u32, to: u32) -> i32 {
        let mut product = [0];
        (Kernels::best().dot_codes)(query, self.codes, &[to], &mut product);
        self.length(from) + self.length(to) - 2 * product[0]
    }
}

/// Measures distances; keeps what it needs of memory for the next time.
#[derive(Default)]
pub(super) struct Ruler {
    query: Vec<i16>,
    products: Vec<i32>,
}

impl Ruler {
    /// Squared distances of `node` from `others`, in their order.
    pub fn distances<'a>(
        &'a mut self,
        points: &'a Points<'_>,
        node: u32,
        others: &'a [u32],
    ) -> impl Iterator<Item = Candidate> + 'a {
        points.query(node, &mut self.query);
        self.products.resize(others.len(), 0);
        (Kernels::best().dot_codes)(&self.query, points.codes, others, &mut self.products);
        let length = points.length(node);
        others.iter().zip(&self.products).map(move |(&other, product)| Candidate {
            distance: length + points.length(other) - 2 * product,
            node: other,
        })
    }
}

/// Chooses neighbours; keeps what it needs of memory for the next time.
#[derive(Default)]
pub(super) struct Chooser {
    ruler: Ruler,
    others: Vec<u32>,
    open: Vec<Candidate>,
}

impl Chooser {
    /// At most `degree` of `candidates` (nearest first) into `chosen`, such that none is nearer to an earlier chosen one
    /// than to the node itself: links in different directions (Malkov and Yashunin, TPAMI 2018, algorithm 4). Of nodes with
    /// the same code one is enough: lists full of them would lead nowhere else.
    pub fn choose(
        &mut self,
        points: &Points<'_>,
        candidates: &[Candidate],
        degree: usize,
        chosen: &mut Vec<Candidate>,
    ) {
        let Self { ruler, others, open } = self;
        chosen.clear();
        open.clear();
        open.extend_from_slice(candidates);
        while let Some(&nearest) = open.first().filter(|_| chosen.len() < degree) {
            chosen.push(nearest);
            open.remove(0);
            others.clear();
            others.extend(open.iter().map(|candidate| candidate.node));
            let mut between = ruler.distances(points, nearest.node, others);
            let is_apart = |between: Candidate, candidate: &Candidate| {
                between.distance > 0 && between.distance >= candidate.distance
            };
            open.retain(|candidate| between.next().is_some_and(|between| is_apart(between, candidate)));
        }
    }
}

/// Puts `chosen` into the list of a node.
pub(super) fn write_links(list: &mut [u32], chosen: &[Candidate]) {
    list.fill(NO_LINK);
    list.iter_mut().zip(chosen).for_each(|(link, to)| *link = to.node);
}
