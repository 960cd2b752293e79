//! Searching one layer of a graph by its codes: a best-first walk with a pool of the `ef` best nodes. Scores are whole
//! numbers and the order of nodes is total, so every CPU walks the same way.

use std::collections::BinaryHeap;

use crate::metric::Kernels;
use crate::metric::kernels::prefetch;

/// Stands behind the last link of a node that has fewer than its layer allows.
pub(super) const NO_LINK: u32 = u32::MAX;

/// Nodes that a walk has in view beyond those that are asked for, for each node that it begins at.
const SPARE_PER_ENTRY: usize = 4;

/// What a squared length counts in a score where it counts wholly.
pub(super) const LENGTH_UNIT: i64 = 1 << 16;

/// One layer, in place: nodes are rows of the codes.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    /// Nodes × numbers of a code.
    pub codes: &'a [i8],
    /// The squared length of each code and what it counts in a score, in units of [`LENGTH_UNIT`]: a score is twice the product
    /// less that, by which the nearest node is the best. Without it a score is the product.
    pub lengths: Option<(&'a [u32], i64)>,
    /// Nodes × `degree`, filled up with [`NO_LINK`].
    pub links: &'a [u32],
    /// Links that a node has room for.
    pub degree: usize,
}

impl<'a> Layer<'a> {
    /// The layer of as many nodes as there are lists in `links`, the first of those that `codes` (of `dim` numbers) has.
    pub fn of(codes: &'a [i8], dim: usize, links: &'a [u32], degree: usize) -> Self {
        Self { codes: &codes[..links.len() / degree * dim], lengths: None, links, degree }
    }

    /// The score of a node, of its product with the query.
    #[inline]
    fn score(&self, node: u32, product: i32) -> i32 {
        match self.lengths {
            Some((lengths, share)) => {
                let length = i64::from(lengths[node as usize]) * share / LENGTH_UNIT;
                // A damaged file may have any length.
                product.saturating_mul(2).saturating_sub(length.clamp(0, i32::MAX.into()) as i32)
            }
            None => product,
        }
    }

    fn links_of(&self, node: u32) -> &'a [u32] {
        let links = &self.links[node as usize * self.degree..][..self.degree];
        let end = links.iter().position(|&link| link == NO_LINK).unwrap_or(self.degree);
        &links[..end]
    }
}

/// A node and its score in one number that sorts like both: higher scores first, then lower nodes. The lowest bit says
/// that the node's links were followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked(u64);

impl Ranked {
    pub fn new(score: i32, node: u32) -> Self {
        let score = u64::from(score as u32 ^ 1 << 31);
        Self(score << 32 | u64::from(u32::MAX >> 1 ^ node) << 1)
    }

    pub fn node(self) -> u32 {
        (self.0 >> 1) as u32 & u32::MAX >> 1 ^ u32::MAX >> 1
    }

    pub fn score(self) -> i32 {
        ((self.0 >> 32) as u32 ^ 1 << 31) as i32
    }

    fn is_followed(self) -> bool {
        self.0 & 1 == 1
    }

    fn followed(self) -> Self {
        Self(self.0 | 1)
    }
}

/// Which nodes a walk has seen: sixteen to a word, each word with the number of the walk that it speaks of, so that a new
/// walk clears nothing.
#[derive(Default)]
struct Visited {
    words: Vec<u32>,
    nodes: usize,
    walk: u16,
}

impl Visited {
    fn begin(&mut self, nodes: usize) {
        if self.walk == u16::MAX || self.words.len() < nodes.div_ceil(16) {
            self.words.clear();
            self.words.resize(nodes.div_ceil(16), 0);
            self.walk = 0;
        }
        self.nodes = nodes;
        self.walk += 1;
    }

    /// Whether `node` exists and had not been seen.
    #[inline]
    fn insert(&mut self, node: u32) -> bool {
        if node as usize >= self.nodes {
            return false;
        }
        let word = &mut self.words[node as usize / 16];
        let (mark, bit) = (u32::from(self.walk) << 16, 1 << (node % 16));
        let seen = if *word & 0xFFFF_0000 == mark { *word } else { mark };
        *word = seen | bit;
        seen & bit == 0
    }
}

/// What a walk needs of memory, kept for the next one: after the first no walk allocates.
#[derive(Default)]
pub(super) struct Walker {
    visited: Visited,
    /// The best nodes, in order.
    pool: Vec<Ranked>,
    /// What else was seen, where more nodes are kept than followed; in no order.
    spare: Vec<Ranked>,
    /// What is left to follow, where not every node is wanted.
    frontier: BinaryHeap<Ranked>,
    fresh: Vec<u32>,
    scores: Vec<i32>,
}

impl Walker {
    /// The `keep` best nodes that a walk from `entries` sees, best first. It follows the links of a node as long as that is
    /// one of the `ef` best, or it has seen fewer than it keeps.
    pub fn walk(
        &mut self,
        layer: Layer<'_>,
        query: &[i16],
        entries: &[u32],
        ef: usize,
        keep: usize,
    ) -> &[Ranked] {
        let kernels = Kernels::best();
        let code_dim = query.len();
        let ef = ef.max(1);
        let keep = keep.max(ef);
        self.visited.begin(layer.codes.len() / code_dim);
        self.pool.clear();
        self.spare.clear();
        self.fresh.clear();
        self.see(layer, entries, code_dim);
        let (mut cursor, mut width) = (0, ef);
        loop {
            self.scores.resize(self.fresh.len(), 0);
            (kernels.dot_codes)(query, layer.codes, &self.fresh, &mut self.scores);
            for (&node, &product) in self.fresh.iter().zip(&self.scores) {
                let ranked = Ranked::new(layer.score(node, product), node);
                if self.pool.len() == width {
                    let worst = self.pool[width - 1];
                    if width < keep {
                        self.spare.push(ranked.min(worst));
                    }
                    if ranked <= worst {
                        continue;
                    }
                    self.pool.pop();
                }
                let at = self.pool.partition_point(|&held| held > ranked);
                self.pool.insert(at, ranked);
                if at <= cursor {
                    // The next to be followed, as it seems now.
                    prefetch(&layer.links[node as usize * layer.degree..][..layer.degree]);
                    cursor = at;
                }
            }
            while self.pool.get(cursor).is_some_and(|held| held.is_followed()) {
                cursor += 1;
            }
            if cursor >= ef {
                let spare = keep - self.pool.len();
                if self.spare.len() >= spare {
                    self.take_spare(spare);
                    break;
                }
                // Too little was seen: the walk becomes wider.
                self.take_spare(spare);
                width = keep;
            }
            let Some(best) = self.pool.get_mut(cursor) else { break };
            *best = best.followed();
            let links = layer.links_of(best.node());
            if let Some(next) = self.pool.get(cursor + 1) {
                prefetch(&layer.links[next.node() as usize * layer.degree..][..layer.degree]);
            }
            self.fresh.clear();
            self.see(layer, links, code_dim);
        }
        &self.pool
    }

    /// Moves the `most` best of the spare nodes to the end of the pool, in order.
    fn take_spare(&mut self, most: usize) {
        if most < self.spare.len() {
            self.spare.select_nth_unstable_by(most, |a, b| b.cmp(a));
            self.spare.truncate(most);
        }
        self.spare.sort_unstable_by(|a, b| b.cmp(a));
        self.pool.append(&mut self.spare);
    }

    /// The `ef` best nodes of those that `is_allowed` admits, best first, that a walk from `entries` finds. It passes through
    /// all nodes, and goes on until it has found `ef` better ones than any that is left to follow.
    pub fn walk_among(
        &mut self,
        layer: Layer<'_>,
        query: &[i16],
        entries: &[u32],
        ef: usize,
        is_allowed: impl Fn(u32) -> bool,
    ) -> &[Ranked] {
        let (kernels, code_dim, ef) = (Kernels::best(), query.len(), ef.max(1));
        self.visited.begin(layer.codes.len() / code_dim);
        self.pool.clear();
        self.frontier.clear();
        self.fresh.clear();
        self.see(layer, entries, code_dim);
        loop {
            self.scores.resize(self.fresh.len(), 0);
            (kernels.dot_codes)(query, layer.codes, &self.fresh, &mut self.scores);
            for (&node, &product) in self.fresh.iter().zip(&self.scores) {
                let ranked = Ranked::new(layer.score(node, product), node);
                let full = self.pool.len() == ef;
                if full && ranked < self.pool[ef - 1] {
                    continue;
                }
                self.frontier.push(ranked);
                if is_allowed(node) {
                    self.pool.truncate(ef - 1);
                    let at = self.pool.partition_point(|&held| held > ranked);
                    self.pool.insert(at, ranked);
                }
            }
            let Some(best) = self.frontier.pop() else { break };
            if self.pool.len() == ef && best < self.pool[ef - 1] {
                break;
            }
            self.fresh.clear();
            self.see(layer, layer.links_of(best.node()), code_dim);
        }
        &self.pool
    }

    /// Takes the nodes of a list that the walk has not seen, and asks for their codes. A damaged list may name nodes that
    /// do not exist.
    #[inline]
    fn see(&mut self, layer: Layer<'_>, links: &[u32], code_dim: usize) {
        for &link in links {
            if self.visited.insert(link) {
                prefetch(&layer.codes[link as usize * code_dim..][..code_dim]);
                if let Some((lengths, _)) = layer.lengths {
                    prefetch(&lengths[link as usize..][..1]);
                }
                self.fresh.push(link);
            }
        }
    }

    /// The nodes that a walk of the bottom layer begins at, into `entries`: where `upper`, the layers above it from the top,
    /// lead. Through all but the last goes a walk that only ever improves; of the last, one node is taken for every
    /// [`SPARE_PER_ENTRY`] of `spare`, which are those that the walk of the bottom will have in view beyond the ones that are
    /// asked for. One entry alone may lie where no link leads to all that is near; more cost no effort where none is to spare.
    pub fn descend<'l>(
        &mut self,
        upper: impl Iterator<Item = Layer<'l>>,
        query: &[i16],
        spare: usize,
        entries: &mut Vec<u32>,
    ) {
        entries.clear();
        entries.push(0);
        let mut upper = upper.peekable();
        while let Some(layer) = upper.next() {
            let width = if upper.peek().is_some() { 1 } else { (spare / SPARE_PER_ENTRY).max(1) };
            let found = self.walk(layer, query, entries, width, width);
            entries.clear();
            entries.extend(found.iter().map(|found| found.node()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::metric::kernels::CODE_LANES;

    /// What [`Walker::walk`] says, with everything that was seen in one sorted list.
    fn walked(layer: Layer<'_>, query: &[i16], entries: &[u32], ef: usize, keep: usize) -> Vec<Ranked> {
        let (mut seen, mut fresh): (Vec<Ranked>, Vec<u32>) = (Vec::new(), entries.to_vec());
        loop {
            for node in fresh {
                let code = &layer.codes[node as usize * query.len()..][..query.len()];
                let product = code.iter().zip(query).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                if !seen.iter().any(|held| held.node() == node) {
                    seen.push(Ranked::new(product, node));
                }
            }
            seen.sort_unstable_by(|a, b| b.cmp(a));
            let next = seen.iter().position(|held| !held.is_followed());
            let Some(next) = next.filter(|&next| next < ef || seen.len() < keep) else { break };
            seen[next] = seen[next].followed();
            fresh = layer.links_of(seen[next].node()).to_vec();
        }
        seen.truncate(keep);
        seen
    }

    proptest! {
        #[test]
        fn a_walk_keeps_the_best_of_all_that_it_saw(
            firsts in vec(-9i8..9, 30), links in vec(0u32..30, 30 * 3), entry in 0u32..30, ef in 1usize..12, more in 0usize..30,
        ) {
            let codes: Vec<i8> = firsts.iter().flat_map(|&first| [vec![first], vec![0; CODE_LANES - 1]].concat()).collect();
            let mut query = vec![0; CODE_LANES];
            query[0] = 3;
            let (layer, mut walker) = (Layer::of(&codes, CODE_LANES, &links, 3), Walker::default());
            let nodes = |found: &[Ranked]| found.iter().map(|found| found.node()).collect::<Vec<_>>();
            for keep in [ef + more, ef] {
                let expected = nodes(&walked(layer, &query, &[entry], ef, keep));
                prop_assert_eq!(nodes(walker.walk(layer, &query, &[entry], ef, keep)), expected);
            }
        }
    }

    #[test]
    fn a_walk_with_nodes_to_spare_begins_in_places_that_no_link_joins() {
        // The first two are a layer of their own, and each leads to one more.
        let codes: Vec<i8> = [8, 7, 20, 19]
            .iter()
            .flat_map(|&first| [vec![first], vec![0; CODE_LANES - 1]].concat())
            .collect();
        let mut query = vec![0; CODE_LANES];
        query[0] = 1;
        let upper = || std::iter::once(Layer::of(&codes, CODE_LANES, &[1, 0], 1));
        let bottom = Layer::of(&codes, CODE_LANES, &[2, 3, 0, 1], 1);
        let (mut walker, mut entries) = (Walker::default(), Vec::new());
        let mut found = |spare| {
            walker.descend(upper(), &query, spare, &mut entries);
            walker.walk(bottom, &query, &entries, 4, 4).iter().map(|found| found.node()).collect::<Vec<_>>()
        };
        assert_eq!(found(2 * SPARE_PER_ENTRY - 1), [2, 0]);
        assert_eq!(found(2 * SPARE_PER_ENTRY), [2, 3, 0, 1]);
    }
}
