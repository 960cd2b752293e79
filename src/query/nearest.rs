//! The stored vectors nearest to given ones, with the image and the box of each: through the graphs of the segments, or by
//! looking at every vector. The same for any number of threads.

use std::collections::BTreeMap;
use std::ops::Range;

use patchdex_format::{GraphProof, SegmentEntry};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{QueryError, Scope};
use crate::collection::{Collection, Placed};
use crate::core::{Bbox, Grid};
use crate::index::{DEFAULT_EF, ExactIndex, HnswIndex, Neighbour, RowSet};
use crate::segment::Segment;

/// Queries that are compared with a block of rows while it is in the cache; so many lists of the best are in memory.
const BATCH_QUERIES: usize = 256;

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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SearchPath {
    /// The kind of index.
    pub index: &'static str,
    /// Vectors in scope.
    pub vectors: usize,
    /// Nodes that a walk keeps in view; none without a graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ef: Option<usize>,
    /// The share of the ten nearest that sampled vectors found with it when the graph was built, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall_at_10: Option<f64>,
    /// Why not the graph, where there is none or it is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// A stored vector that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Path of its image relative to the collection's root; of copies in scope the first.
    pub image: String,
    /// The image's content: the first 16 hexadecimal digits of its BLAKE3.
    pub id: String,
    /// What the user said about the image; [`VectorSearch::tell`] fills it in.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub metadata: Map<String, Value>,
    /// Rectangle of the patch, in pixels of the upright image.
    #[serde(rename = "box")]
    pub bbox: Bbox,
    /// Its row in an export of the whole collection.
    pub row: u64,
    /// Similarity with the query.
    pub similarity: f32,
}

/// Makes rows of `len` numbers comparable with stored vectors: tokens as the model gives them go through the collection's
/// preparation, rows as long as stored vectors are prepared already. Where both are as long, `prepared` tells.
///
/// # Errors
/// Rows of another length, or a damaged preparation.
pub fn comparable(
    collection: &Collection,
    rows: &[f32],
    len: usize,
    prepared: bool,
) -> Result<Vec<f32>, QueryError> {
    let manifest = collection.manifest();
    let (hidden_size, dim) = (manifest.model.hidden_size as usize, manifest.dim as usize);
    let mut vectors = match () {
        () if len == hidden_size && !prepared => collection.preparation()?.apply(rows),
        () if len == dim => rows.to_vec(),
        () => return Err(QueryError::Rows { found: len, hidden_size, dim }),
    };
    collection.metric().prepare(&mut vectors, dim);
    Ok(vectors)
}

/// The vectors of a collection's images in scope, for questions.
pub struct VectorSearch<'a> {
    collection: &'a Collection,
    segments: Vec<SearchedRows<'a>>,
}

/// The vectors of a segment that may be found.
struct SearchedRows<'a> {
    /// In order of their first rows.
    stretches: Vec<Stretch<'a>>,
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

/// The vectors of one view.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    first: usize,
    grid: Grid,
    shown: Placed<'a>,
    /// Patches of the image before this view.
    before: u64,
}

/// The `ef` that is asked for, and the recall that was measured with it.
fn effort(proof: &GraphProof, thoroughness: Thoroughness) -> (usize, Option<f64>) {
    let points = || proof.recall.iter().map(|point| (point.ef as usize, point.recall_at_10));
    match thoroughness {
        Thoroughness::Ef(ef) => (ef, points().take_while(|point| point.0 <= ef).last().map(|point| point.1)),
        Thoroughness::Recall(target) => {
            let found = points().find(|point| point.1 >= target).or_else(|| points().next_back());
            found.map_or((DEFAULT_EF, None), |(ef, recall)| (ef, Some(recall)))
        }
        Thoroughness::Exact => (DEFAULT_EF, None),
    }
}

impl<'a> VectorSearch<'a> {
    /// Lists the vectors of images in `scope`. A copy's vectors are those of the first, whether or not that is in scope.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn of(
        collection: &'a Collection,
        scope: &Scope,
        thoroughness: Thoroughness,
    ) -> Result<Self, QueryError> {
        let mut shown: Vec<BTreeMap<u32, Placed<'a>>> = vec![BTreeMap::new(); collection.segments().len()];
        for placed in collection.listing()? {
            if scope.contains(placed.segment, placed.image.index) {
                shown[placed.segment].entry(placed.image.row.same_as).or_insert(placed);
            }
        }
        let searched =
            |(images, (segment, entry)): (BTreeMap<u32, Placed<'a>>, (&'a Segment, &SegmentEntry))| {
                SearchedRows::of(images.into_values(), segment, entry.graph.as_ref(), thoroughness)
            };
        let segments = collection.segments().iter().zip(&collection.manifest().segments);
        let segments = shown.into_iter().zip(segments).map(searched).collect();
        Ok(Self { collection, segments })
    }

    /// How each segment is searched.
    pub fn paths(&self) -> impl Iterator<Item = &SearchPath> {
        self.segments.iter().map(|searched| &searched.path)
    }

    /// The `k` nearest to each of `vectors`, which [`comparable`] made: best first, of equal ones the lower row first.
    /// Runs on the calling thread's rayon pool.
    ///
    /// # Errors
    /// Vectors of another length.
    pub fn nearest(&self, vectors: &[f32], k: usize) -> Result<Vec<Vec<Nearest>>, QueryError> {
        let dim = self.require_dim(vectors)?;
        Ok(vectors.chunks(BATCH_QUERIES * dim).flat_map(|batch| self.of_batch(batch, dim, k)).collect())
    }

    /// All that are at least so similar to each of `vectors`, which [`comparable`] made: best first, of equal ones the lower
    /// row first. Every vector in scope is looked at. Runs on the calling thread's rayon pool.
    ///
    /// # Errors
    /// Vectors of another length.
    pub fn within(&self, vectors: &[f32], least: f32) -> Result<Vec<Vec<Nearest>>, QueryError> {
        let dim = self.require_dim(vectors)?;
        Ok(self.joined(vectors.len() / dim, |exact, searched| {
            exact.search_within(vectors, &searched.runs, least)
        }))
    }

    fn require_dim(&self, vectors: &[f32]) -> Result<usize, QueryError> {
        let dim = self.collection.manifest().dim as usize;
        match vectors.len() % dim {
            0 => Ok(dim),
            found => Err(QueryError::Dimensions { expected: dim, found }),
        }
    }

    fn of_batch(&self, batch: &[f32], dim: usize, k: usize) -> Vec<Vec<Nearest>> {
        let mut found = self.joined(batch.len() / dim, |exact, searched| match &searched.graph {
            Some(walk) => batch.par_chunks_exact(dim).map(|query| walk.search(query, k)).collect(),
            None => exact.search_rows(batch, &searched.runs, k),
        });
        found.iter_mut().for_each(|found| found.truncate(k));
        found
    }

    /// What `search` finds for each of so many queries in each segment, best first.
    fn joined(
        &self,
        queries: usize,
        search: impl Fn(ExactIndex<'_>, &SearchedRows<'_>) -> Vec<Vec<Neighbour>>,
    ) -> Vec<Vec<Nearest>> {
        let mut found: Vec<Vec<Nearest>> = vec![Vec::new(); queries];
        for (segment, searched) in self.collection.segments().iter().zip(&self.segments) {
            let best = search(ExactIndex { vectors: segment.vectors() }, searched);
            for (found, best) in found.iter_mut().zip(best) {
                found.extend(best.into_iter().filter_map(|neighbour| searched.nearest(neighbour)));
            }
        }
        for found in &mut found {
            found.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.row.cmp(&b.row)));
        }
        found
    }
}

impl Walk<'_> {
    fn search(&self, query: &[f32], k: usize) -> Vec<Neighbour> {
        self.index.search_among(query, k, self.ef.max(k), self.allowed.as_ref())
    }
}

impl VectorSearch<'_> {
    /// Adds to what was found what the user said about the images.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn tell<'b>(&self, found: impl IntoIterator<Item = &'b mut Nearest>) -> Result<(), QueryError> {
        let segments = self.collection.segments();
        let tables = segments.iter().map(|segment| segment.metadata()).collect::<Result<Vec<_>, _>>()?;
        if tables.iter().all(Option::is_none) {
            return Ok(());
        }
        let listing = self.collection.listing()?;
        for nearest in found {
            // Images without patches share their first row with the next one.
            let after = listing.partition_point(|placed| placed.first_row <= nearest.row);
            let placed = after.checked_sub(1).map(|at| listing[at]);
            let said =
                placed.and_then(|placed| tables[placed.segment].map(|table| table.row(placed.image.index)));
            nearest.metadata = said.unwrap_or_default();
        }
        Ok(())
    }
}

impl<'a> SearchedRows<'a> {
    fn of(
        images: impl Iterator<Item = Placed<'a>>,
        segment: &'a Segment,
        proof: Option<&GraphProof>,
        thoroughness: Thoroughness,
    ) -> Self {
        let mut stretches = Vec::new();
        for shown in images {
            let mut before = 0;
            for view in shown.image.views() {
                stretches.push(Stretch { first: view.first_patch, grid: view.grid, shown, before });
                before += view.grid.len() as u64;
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
        let exact = |reason| {
            (None, SearchPath { index: "exact", vectors: rows, ef: None, recall_at_10: None, reason })
        };
        let (graph, path) = match (segment.graph(), proof) {
            _ if thoroughness == Thoroughness::Exact => exact(None),
            (Some(_), _) if (rows * rows) / EXACT_ROWS < all => exact(Some("few vectors in scope")),
            (Some(graph), Some(proof)) => {
                let (ef, recall_at_10) = effort(proof, thoroughness);
                let allowed = (rows < all).then(|| RowSet::of(&runs));
                let index = HnswIndex { graph, vectors: segment.vectors() };
                let path =
                    SearchPath { index: "hnsw", vectors: rows, ef: Some(ef), recall_at_10, reason: None };
                (Some(Walk { index, ef, allowed }), path)
            }
            _ if segment.graph_fault().is_some() => exact(Some("damaged graph")),
            _ => exact(Some("no graph")),
        };
        Self { stretches, runs, graph, path }
    }

    fn nearest(&self, Neighbour { row, similarity }: Neighbour) -> Option<Nearest> {
        let row = row as usize;
        let after = self.stretches.partition_point(|stretch| stretch.first <= row);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        let patch = row - stretch.first;
        let Placed { image, first_row, .. } = &stretch.shown;
        (patch < stretch.grid.len()).then(|| Nearest {
            image: image.path_text(),
            id: image.id(),
            metadata: Map::new(),
            bbox: stretch.grid.patch_box(patch),
            row: first_row + stretch.before + patch as u64,
            similarity,
        })
    }
}
