//! The rows of a collection that may be found, and how each segment is searched for them: through its graph, or by looking
//! at every row in scope.

use std::ops::Range;

use patchdex_format::{GraphProof, SegmentEntry};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Patience, QueryError, Scope};
use crate::collection::{Collection, Placed};
use crate::core::Grid;
use crate::index::{DEFAULT_EF, ExactIndex, HnswIndex, Neighbour, RowSet};
use crate::segment::Segment;

/// A segment is scanned where the square of its vectors in scope is less than this times all its vectors: a scan takes time
/// with their number, a walk past the others with the inverse of their share. An estimate from the speed of both.
const EXACT_ROWS: usize = 4000;

/// How hard graphs are searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Thoroughness {
    /// Every vector in scope is looked at.
    Exact,
    /// As hard as it took, when the graph was built, to find this share of a vector's ten nearest others.
    Recall(f64),
    /// Nodes that a walk keeps in view.
    Ef(usize),
}

/// How the vectors of a segment are searched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchPath {
    /// The kind of index.
    pub index: String,
    /// Vectors in scope.
    pub vectors: usize,
    /// Nodes that a walk keeps in view; where stored vectors are asked for, at least as many as those. None without a graph.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ef: Option<usize>,
    /// The share of the ten nearest that sampled vectors found with it when the graph was built, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recall_at_10: Option<f64>,
    /// Why not the graph, where there is none or it is not asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The rows of a collection's images in scope.
pub(super) struct RowSearch<'a> {
    pub collection: &'a Collection,
    /// Every image with patches that has a name in scope, in order of segments and rows.
    pub images: Vec<StoredImage<'a>>,
    segments: Vec<SearchedRows<'a>>,
    patience: Patience,
}

/// An image with patches.
pub(super) struct StoredImage<'a> {
    pub segment: &'a Segment,
    /// Itself and its copies, as far as they are in scope: those names share the patches. In order of their paths.
    pub shown: Vec<Placed<'a>>,
}

/// The rows of a segment that may be found.
struct SearchedRows<'a> {
    /// In order of their first rows.
    stretches: Vec<Stretch>,
    /// The rows of all stretches; none touch.
    runs: Vec<Range<usize>>,
    graph: Option<Walk<'a>>,
    path: SearchPath,
}

/// A graph that is asked.
struct Walk<'a> {
    index: HnswIndex<'a>,
    ef: usize,
    /// The rows in scope, where that is not every row.
    allowed: Option<RowSet>,
}

/// The rows of one view.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub first: usize,
    pub grid: Grid,
    /// Its place in [`RowSearch::images`].
    pub image: usize,
    /// Its place among the image's views.
    pub view: usize,
    /// Patches of the image before this view.
    pub before: usize,
}

/// A row that was found, and where it belongs.
pub(super) struct FoundRow<'s> {
    pub stretch: &'s Stretch,
    /// Its place in the view.
    pub patch: usize,
    pub similarity: f32,
}

/// The `ef` that is asked for, and the recall that was measured with it.
fn effort(proof: &GraphProof, thoroughness: Thoroughness) -> (usize, Option<f64>) {
    let points = || proof.recall.iter().map(|point| (point.ef as usize, point.recall_at_10));
    match thoroughness {
        Thoroughness::Ef(ef) => (ef, points().find(|point| point.0 == ef).map(|point| point.1)),
        Thoroughness::Recall(target) => {
            let found = points().find(|point| point.1 >= target).or_else(|| points().next_back());
            found.map_or((DEFAULT_EF, None), |(ef, recall)| (ef, Some(recall)))
        }
        Thoroughness::Exact => (DEFAULT_EF, None),
    }
}

impl<'a> RowSearch<'a> {
    /// Lists the rows of images in `scope`. A copy's rows are those of the first, whether or not that is in scope.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn of(
        collection: &'a Collection,
        scope: &Scope,
        thoroughness: Thoroughness,
        patience: &Patience,
    ) -> Result<Self, QueryError> {
        let mut shown = collection.listing()?;
        shown.retain(|placed| scope.contains(placed.segment, placed.image.index));
        // Stable: an image and its copies stay in order of their paths.
        shown.sort_by_key(|placed| (placed.segment, placed.image.row.same_as));
        let mut images = Vec::new();
        let searched = |(at, (segment, entry)): (usize, (&'a Segment, &SegmentEntry))| {
            let before = images.len();
            let of_segment = shown.partition_point(|placed| placed.segment < at)
                ..shown.partition_point(|placed| placed.segment <= at);
            let originals = shown[of_segment].chunk_by(|a, b| a.image.row.same_as == b.image.row.same_as);
            let with_patches = originals.filter(|shown| shown[0].image.patch_count() > 0);
            images.extend(with_patches.map(|shown| StoredImage { segment, shown: shown.to_vec() }));
            SearchedRows::of(&images, before, segment, entry.graph.as_ref(), thoroughness)
        };
        let segments = collection.segments().iter().zip(&collection.manifest().segments);
        let segments = segments.enumerate().map(searched).collect();
        Ok(Self { collection, images, segments, patience: patience.clone() })
    }

    /// How each segment is searched.
    pub fn paths(&self) -> impl Iterator<Item = &SearchPath> {
        self.segments.iter().map(|searched| &searched.path)
    }

    /// The `k` rows nearest to each of `queries`: best first, of equal ones the lower row first. Walks keep at least `least_ef` nodes
    /// in view.
    ///
    /// # Errors
    /// That nobody waits any more.
    pub fn nearest(
        &self,
        queries: &[f32],
        k: usize,
        least_ef: usize,
    ) -> Result<Vec<Vec<FoundRow<'_>>>, QueryError> {
        let dim = self.collection.manifest().dim as usize;
        let mut found = self.joined(queries.len() / dim, |exact, searched| match &searched.graph {
            _ if self.patience.is_given_up() => Vec::new(),
            Some(walk) => {
                let ef = walk.ef.max(least_ef);
                let walk = |query| match self.patience.is_given_up() {
                    true => Vec::new(),
                    false => walk.index.search_among(query, k, ef, walk.allowed.as_ref()),
                };
                queries.par_chunks_exact(dim).map(walk).collect()
            }
            None => exact.search_rows(queries, &searched.runs, k),
        });
        self.patience.go_on()?;
        found.iter_mut().for_each(|found| found.truncate(k));
        Ok(found)
    }

    /// All that are at least so similar to each of `queries`, in the same order. Every row in scope is looked at.
    ///
    /// # Errors
    /// That nobody waits any more.
    pub fn within(&self, queries: &[f32], least: f32) -> Result<Vec<Vec<FoundRow<'_>>>, QueryError> {
        let dim = self.collection.manifest().dim as usize;
        let found = self.joined(queries.len() / dim, |exact, searched| match self.patience.is_given_up() {
            true => Vec::new(),
            false => exact.search_within(queries, &searched.runs, least),
        });
        self.patience.go_on()?;
        Ok(found)
    }

    /// The row in an export of the whole collection.
    pub fn row(&self, found: &FoundRow<'_>) -> u64 {
        let shown = &self.images[found.stretch.image].shown[0];
        shown.first_row + (found.stretch.before + found.patch) as u64
    }

    /// What `search` finds for each of so many queries in each segment, best first.
    fn joined(
        &self,
        queries: usize,
        search: impl Fn(ExactIndex<'_>, &SearchedRows<'_>) -> Vec<Vec<Neighbour>>,
    ) -> Vec<Vec<FoundRow<'_>>> {
        let mut all: Vec<Vec<FoundRow<'_>>> = Vec::new();
        all.resize_with(queries, Vec::new);
        for (segment, searched) in self.collection.segments().iter().zip(&self.segments) {
            let best = search(ExactIndex { vectors: segment.vectors() }, searched);
            for (all, best) in all.iter_mut().zip(best) {
                all.extend(best.into_iter().filter_map(|neighbour| searched.located(neighbour)));
            }
        }
        for found in &mut all {
            let by_row = |a: &FoundRow<'_>, b: &FoundRow<'_>| self.row(a).cmp(&self.row(b));
            found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| by_row(a, b)));
        }
        all
    }
}

impl<'a> SearchedRows<'a> {
    /// The rows of `images` from number `before` on, which are in `segment`.
    fn of(
        images: &[StoredImage<'a>],
        before: usize,
        segment: &'a Segment,
        proof: Option<&GraphProof>,
        thoroughness: Thoroughness,
    ) -> Self {
        let mut stretches = Vec::new();
        for (image, stored) in images.iter().enumerate().skip(before) {
            let mut before = 0;
            for (view, patches) in stored.shown[0].image.views().enumerate() {
                let (first, grid) = (patches.first_patch, patches.grid);
                stretches.push(Stretch { first, grid, image, view, before });
                before += grid.len();
            }
        }
        stretches.sort_by_key(|stretch| stretch.first);
        let mut runs: Vec<Range<usize>> = Vec::new();
        for Stretch { first, grid, .. } in &stretches {
            let end = first + grid.len();
            match runs.last_mut().filter(|run| run.end >= *first) {
                Some(run) => run.end = run.end.max(end),
                None => runs.push(*first..end),
            }
        }
        let (all, rows) = (segment.patch_count(), runs.iter().map(Range::len).sum::<usize>());
        let path = |index: &str| SearchPath {
            index: index.to_owned(),
            vectors: rows,
            ef: None,
            recall_at_10: None,
            reason: None,
        };
        let exact =
            |reason: Option<&str>| (None, SearchPath { reason: reason.map(str::to_owned), ..path("exact") });
        let (graph, path) = match (segment.graph(), proof) {
            _ if thoroughness == Thoroughness::Exact => exact(None),
            (Some(_), _) if (rows * rows) / EXACT_ROWS < all => exact(Some("few vectors in scope")),
            (Some(graph), Some(proof)) => {
                let (ef, recall_at_10) = effort(proof, thoroughness);
                let allowed = (rows < all).then(|| RowSet::of(&runs));
                let index = HnswIndex { graph, vectors: segment.vectors() };
                let path = SearchPath { ef: Some(ef), recall_at_10, ..path("hnsw") };
                (Some(Walk { index, ef, allowed }), path)
            }
            _ if segment.graph_fault().is_some() => exact(Some("damaged graph")),
            _ => exact(Some("no graph")),
        };
        Self { stretches, runs, graph, path }
    }

    fn located(&self, Neighbour { row, similarity }: Neighbour) -> Option<FoundRow<'_>> {
        let row = row as usize;
        let after = self.stretches.partition_point(|stretch| stretch.first <= row);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        let patch = row - stretch.first;
        (patch < stretch.grid.len()).then_some(FoundRow { stretch, patch, similarity })
    }
}
