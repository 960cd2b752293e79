//! A graph, flat: arrays that are built in memory or lie in a mapped file, and are searched in place either way.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;

use patchdex_format::{ContainerWriter, Element, FormatError, Layout};

use super::codes::Codebook;
use super::connect::connect;
use super::layers::{HnswParameters, Layers, Told};
use super::order::breadth_first;
use super::points::Points;
use super::reduction::{Reduced, reduced_dim};
use super::search::{Layer, NO_LINK};
use super::twins::Twins;
use crate::core::SplitMix64;
use crate::index::Vectors;
use crate::metric::{Comparison, Metric};

/// Upper layers at most: each has half the nodes of the one below or fewer.
const MOST_LAYERS: usize = 32;

/// A graph over the codes of vectors. Nodes are in an order of their own, neighbours close together.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph<'a> {
    pub(super) codebook: Codebook,
    /// Nodes × numbers of a code.
    pub(super) codes: Cow<'a, [i8]>,
    /// The squared length of each code, where vectors are compared by their distances; else none.
    pub(super) lengths: Cow<'a, [u32]>,
    /// The row of the vectors that each node stands for.
    pub(super) rows: Cow<'a, [u32]>,
    /// Nodes × `degree`: the bottom layer.
    pub(super) links: Cow<'a, [u32]>,
    /// Nodes of the upper layers: entry *i* is the same in each of them.
    pub(super) entries: Cow<'a, [u32]>,
    /// Codes of the entries, as they are in `codes`: so that a descent reads few pages.
    pub(super) entry_codes: Cow<'a, [i8]>,
    /// Lengths of the entries, as they are in `lengths`.
    pub(super) entry_lengths: Cow<'a, [u32]>,
    /// Entries of each upper layer, from the lowest: an upper layer has the first so many.
    pub(super) layer_sizes: Cow<'a, [u32]>,
    /// The upper layers from the lowest, one after the other: entries × `degree`.
    pub(super) entry_links: Cow<'a, [u32]>,
    pub(super) degree: usize,
}

impl Graph<'static> {
    /// Builds a graph over `vectors`: the same bytes for any number of threads, on any machine. There
    /// are [`HnswParameters::MOST_NODES`] at most.
    pub fn build(vectors: Vectors<'_>, parameters: &HnswParameters) -> Self {
        let graph = Self::build_telling(vectors, parameters, None, &mut |_| ControlFlow::Continue(()));
        graph.expect("invariant: nobody stops it")
    }

    /// The same, with one node for all of `twins` where they are given; `told` hears how many nodes are linked, now and then,
    /// and may stop the work: there is no graph then.
    pub fn build_telling(
        vectors: Vectors<'_>,
        parameters: &HnswParameters,
        twins: Option<Twins<'_>>,
        told: Told<'_>,
    ) -> Option<Self> {
        Self::build_in_order(vectors, parameters, twins, told, breadth_first)
    }

    /// The same as [`Graph::build`], with the nodes in the order in which they were inserted: for measuring what another one is
    /// worth.
    #[doc(hidden)]
    pub fn build_as_inserted(vectors: Vectors<'_>, parameters: &HnswParameters) -> Self {
        let as_inserted = |links: &[u32], degree: usize| (0..(links.len() / degree) as u32).collect();
        let graph =
            Self::build_in_order(vectors, parameters, None, &mut |_| ControlFlow::Continue(()), as_inserted);
        graph.expect("invariant: nobody stops it")
    }

    /// Builds; `order` gives the nodes as they are to lie, from the links of the bottom layer and how many a node has room for.
    fn build_in_order(
        vectors: Vectors<'_>,
        parameters: &HnswParameters,
        twins: Option<Twins<'_>>,
        told: Told<'_>,
        order: impl Fn(&[u32], usize) -> Vec<u32>,
    ) -> Option<Self> {
        assert!(vectors.len() <= HnswParameters::MOST_NODES, "more vectors than a graph can have nodes");
        let vectors = Reduced::of(vectors);
        let codebook = Codebook::fit(vectors);
        let mut rows: Vec<u32> = (0..vectors.len() as u32).collect();
        if let Some(twins) = twins {
            rows = twins.representatives(&codebook.encode(vectors, &rows), &codebook);
        }
        shuffle(&mut rows, parameters.seed);
        let codes = codebook.encode(vectors, &rows);
        let points = Points::new(&codes, codebook.code_dim());
        let mut layers = (parameters.builder.build)(&points, parameters, told)?;
        connect(&points, &mut layers, parameters.ef_construction);
        let order = order(layers.links.first().map_or(&[][..], |links| links), layers.degree);
        Some(Self::laid_out(codebook, &points, &rows, &layers, &order))
    }

    /// Puts the nodes into their final order.
    fn laid_out(
        codebook: Codebook,
        points: &Points<'_>,
        rows: &[u32],
        layers: &Layers,
        order: &[u32],
    ) -> Self {
        let (codes, dim, degree) = (points.codes, points.dim, layers.degree);
        let (bottom, upper) = layers.links.split_first().map_or((&[][..], &[][..]), |(b, u)| (b, u));
        let mut places = vec![0u32; order.len()];
        for (place, &node) in (0u32..).zip(order) {
            places[node as usize] = place;
        }
        let placed = |link: &u32| if *link == NO_LINK { NO_LINK } else { places[*link as usize] };
        let entry_count = upper.first().map_or(1, |links| links.len() / degree).min(rows.len());
        let counted = codebook.metric.comparison == Comparison::Distance;
        let (with_length, entries_with_length) = if counted { (order, entry_count) } else { (&[][..], 0) };
        let length = |node: usize| points.lengths[node];
        Self {
            lengths: with_length.iter().map(|&node| length(node as usize)).collect(),
            entry_lengths: (0..entries_with_length).map(length).collect(),
            codes: order.iter().flat_map(|&node| &codes[node as usize * dim..][..dim]).copied().collect(),
            rows: order.iter().map(|&node| rows[node as usize]).collect(),
            links: order
                .iter()
                .flat_map(|&node| &bottom[node as usize * degree..][..degree])
                .map(placed)
                .collect(),
            entries: places[..entry_count].to_vec().into(),
            entry_codes: codes[..entry_count * dim].to_vec().into(),
            layer_sizes: upper.iter().map(|links| (links.len() / degree) as u32).collect(),
            entry_links: upper.concat().into(),
            degree,
            codebook,
        }
    }
}

impl<'a> Graph<'a> {
    /// The container kind of a graph's file.
    pub const KIND: &'static str = "graph";

    /// The graph over vectors of `dim` numbers in the bytes of a file, in place. Small sections are read, the others are not.
    ///
    /// # Errors
    /// Sections that are missing or do not fit together.
    pub fn parse(layout: &Layout, bytes: &'a [u8], dim: usize, metric: Metric) -> Result<Self, FormatError> {
        let whole = |name| layout.slice::<u32>(bytes, name, Element::U32);
        let codes = |name| layout.slice::<i8>(bytes, name, Element::I8);
        let mean: &[f32] = layout.slice(bytes, "mean", Element::F32)?;
        let scale: &[f32] = layout.slice(bytes, "scale", Element::F32)?;
        let lengths = |name| match metric.comparison {
            Comparison::Product => Ok(&[][..]),
            Comparison::Distance => whole(name),
        };
        let degree = layout.section("links")?.cols as usize;
        let graph = Self {
            codebook: Codebook { metric, mean: mean.to_vec(), scale: scale.first().copied().unwrap_or(0.0) },
            codes: codes("codes")?.into(),
            lengths: lengths("lengths")?.into(),
            rows: whole("rows")?.into(),
            links: whole("links")?.into(),
            entries: whole("entries")?.into(),
            entry_codes: codes("entry_codes")?.into(),
            entry_lengths: lengths("entry_lengths")?.into(),
            layer_sizes: whole("layer_sizes")?.into(),
            entry_links: whole("entry_links")?.into(),
            degree,
        };
        match graph.fits_together(dim) {
            true => Ok(graph),
            false => Err(FormatError::structure("the sections of the graph do not fit together")),
        }
    }

    /// Whether every array has the length that the others ask for. What they hold is checked as it is used.
    fn fits_together(&self, dim: usize) -> bool {
        let (code_dim, nodes, entries) = (self.codebook.code_dim(), self.rows.len(), self.entries.len());
        let sizes = || self.layer_sizes.iter().map(|&size| size as usize);
        let counted = usize::from(self.codebook.metric.comparison == Comparison::Distance);
        dim > 0
            && self.codebook.mean.len() == reduced_dim(self.codebook.metric, dim)
            && self.lengths.len() == nodes * counted
            && self.entry_lengths.len() == entries * counted
            && (1..=2 * HnswParameters::M.end()).contains(&self.degree)
            && self.layer_sizes.len() <= MOST_LAYERS
            && nodes <= HnswParameters::MOST_NODES
            && self.codes.len() == nodes * code_dim
            && self.links.len() == nodes * self.degree
            && self.entry_codes.len() == entries * code_dim
            && self.entries.is_empty() == self.rows.is_empty()
            && sizes().all(|size| (1..=entries).contains(&size))
            && self.entry_links.len() == sizes().sum::<usize>() * self.degree
    }

    /// Writes the sections of a graph's file.
    ///
    /// # Errors
    /// The writer's.
    pub fn write<W: Write>(&self, writer: &mut ContainerWriter<W>) -> io::Result<()> {
        let code_dim = self.codebook.code_dim() as u32;
        writer.section("mean", Element::F32, self.codebook.mean.len() as u32, &self.codebook.mean)?;
        writer.section("scale", Element::F32, 1, &[self.codebook.scale])?;
        writer.section("codes", Element::I8, code_dim, &self.codes)?;
        writer.section("rows", Element::U32, 1, &self.rows)?;
        writer.section("links", Element::U32, self.degree as u32, &self.links)?;
        writer.section("entries", Element::U32, 1, &self.entries)?;
        writer.section("entry_codes", Element::I8, code_dim, &self.entry_codes)?;
        if self.codebook.metric.comparison == Comparison::Distance {
            writer.section("lengths", Element::U32, 1, &self.lengths)?;
            writer.section("entry_lengths", Element::U32, 1, &self.entry_lengths)?;
        }
        writer.section("layer_sizes", Element::U32, 1, &self.layer_sizes)?;
        writer.section("entry_links", Element::U32, self.degree as u32, &self.entry_links)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all arrays.
    pub fn size_bytes(&self) -> usize {
        let whole = [&self.rows, &self.links, &self.entries, &self.layer_sizes, &self.entry_links];
        let lengths = self.lengths.len() + self.entry_lengths.len();
        let whole = lengths + whole.iter().map(|array| array.len()).sum::<usize>();
        self.codes.len() + self.entry_codes.len() + whole * 4
    }

    /// Links of a node on average.
    pub fn mean_degree(&self) -> f64 {
        self.links.iter().filter(|&&link| link != NO_LINK).count() as f64 / self.len().max(1) as f64
    }

    /// The layer of all nodes; lengths count so much in a score, where there are any.
    pub(super) fn bottom(&self, length_share: i64) -> Layer<'_> {
        let lengths = counted(&self.lengths, length_share);
        Layer { codes: &self.codes, lengths, links: &self.links, degree: self.degree }
    }

    /// The upper layers from the top. Their nodes are positions in `entries`.
    pub(super) fn upper(&self, length_share: i64) -> impl Iterator<Item = Layer<'_>> {
        let mut end = self.entry_links.len();
        self.layer_sizes.iter().rev().map(move |&size| {
            let start = end - size as usize * self.degree;
            let links = &self.entry_links[start..end];
            end = start;
            let layer = Layer::of(&self.entry_codes, self.codebook.code_dim(), links, self.degree);
            Layer { lengths: counted(&self.entry_lengths, length_share), ..layer }
        })
    }
}

/// Puts `rows` into an order that `seed` chooses (Fisher and Yates).
fn shuffle(rows: &mut [u32], seed: u64) {
    let mut random = SplitMix64(seed);
    for at in (1..rows.len()).rev() {
        rows.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
}

/// Lengths with what they count in a score; none where there are none.
fn counted(lengths: &[u32], share: i64) -> Option<(&[u32], i64)> {
    (!lengths.is_empty()).then_some((lengths, share))
}
