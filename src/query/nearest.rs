//! The stored vectors nearest to given ones, with the image and the box of each: through the graphs of the segments, or by
//! looking at every vector. The same for any number of threads.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::search::{FoundRow, RowSearch};
use super::{Patience, QueryError, RowsOf, Scope, SearchPath, Thoroughness, Wanted};
use crate::collection::Collection;
use crate::core::Bbox;

/// Queries that are compared with a block of rows while it is in the cache; so many lists of the best are in memory.
const BATCH_QUERIES: usize = 256;

/// The same where every vector may be found for each.
const BATCH_WITHIN: usize = 8;

/// A stored vector that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
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

/// A whole answer, with vectors of some kind. Serialises to the JSON of `query --vectors --json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NearestAnswer<N = Nearest> {
    /// Rows that were asked.
    pub queries: usize,
    /// Numbers in a stored vector.
    pub dim: u32,
    /// How each segment was searched.
    pub plan: Vec<SearchPath>,
    /// A list for each row, best first.
    pub results: Vec<Vec<N>>,
}

impl<N> NearestAnswer<N> {
    /// The answer with vectors made of its vectors.
    pub fn map_results<T>(self, mut map: impl FnMut(N) -> T) -> NearestAnswer<T> {
        let Self { queries, dim, plan, results } = self;
        let results = results.into_iter().map(|found| found.into_iter().map(&mut map).collect()).collect();
        NearestAnswer { queries, dim, plan, results }
    }
}

/// Makes rows of `len` numbers comparable with stored vectors: tokens as the model gives them go through the collection's
/// preparation, rows as long as stored vectors are prepared already. Where both are as long, and nobody says what
/// the rows are, they are tokens.
///
/// # Errors
/// Rows of another length, or a damaged preparation.
pub fn comparable(
    collection: &Collection,
    rows: &[f32],
    len: usize,
    rows_of: Option<RowsOf>,
) -> Result<Vec<f32>, QueryError> {
    let manifest = collection.manifest();
    let (hidden_size, dim) = (manifest.model.hidden_size as usize, manifest.dim as usize);
    let mut vectors = match () {
        () if len == hidden_size && rows_of != Some(RowsOf::Prepared) => {
            collection.preparation()?.apply(rows)
        }
        () if len == dim && rows_of != Some(RowsOf::Raw) => rows.to_vec(),
        () => return Err(QueryError::Rows { found: len, hidden_size, dim }),
    };
    collection.metric().prepare(&mut vectors, dim);
    Ok(vectors)
}

/// The vectors of a collection's images in scope, for questions.
pub struct VectorSearch<'a>(RowSearch<'a>);

impl<'a> VectorSearch<'a> {
    /// Lists the vectors of images in `scope`. A copy's vectors are those of the first, whether or not that is in scope.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn of(
        collection: &'a Collection,
        scope: &Scope,
        thoroughness: Thoroughness,
        patience: &Patience,
    ) -> Result<Self, QueryError> {
        Ok(Self(RowSearch::of(collection, scope, thoroughness, patience)?))
    }

    /// How each segment is searched.
    pub fn paths(&self) -> impl Iterator<Item = &SearchPath> {
        self.0.paths()
    }

    /// What is `wanted` of each of `vectors`, which [`comparable`] made: best first, of equal ones the lower row first. Runs on
    /// the calling thread's rayon pool.
    ///
    /// # Errors
    /// Vectors of another length, or that nobody waits any more.
    pub fn found(&self, vectors: &[f32], wanted: Wanted) -> Result<Vec<Vec<Nearest>>, QueryError> {
        match wanted {
            Wanted::Nearest(top) => self.nearest(vectors, top),
            Wanted::Within { least, top } => self.within(vectors, least, top.unwrap_or(usize::MAX)),
        }
    }

    /// The `k` nearest to each of `vectors`, which [`comparable`] made: best first, of equal ones the lower row first.
    /// Runs on the calling thread's rayon pool.
    ///
    /// # Errors
    /// Vectors of another length, or that nobody waits any more.
    pub fn nearest(&self, vectors: &[f32], k: usize) -> Result<Vec<Vec<Nearest>>, QueryError> {
        let dim = self.require_dim(vectors)?;
        let mut all = Vec::with_capacity(vectors.len() / dim);
        for batch in vectors.chunks(BATCH_QUERIES * dim) {
            // Of what is only seen on the way some is missed; and recall was measured for ten with at least as many in view.
            all.extend(self.named(self.0.nearest(batch, k, k)?));
        }
        Ok(all)
    }

    /// The first `top` of all that are at least so similar to each of `vectors`, which [`comparable`] made: best first, of equal ones
    /// the lower row first. Every vector in scope is looked at. Runs on the calling thread's rayon pool.
    ///
    /// # Errors
    /// Vectors of another length, or that nobody waits any more.
    pub fn within(&self, vectors: &[f32], least: f32, top: usize) -> Result<Vec<Vec<Nearest>>, QueryError> {
        let dim = self.require_dim(vectors)?;
        let mut all = Vec::with_capacity(vectors.len() / dim);
        for batch in vectors.chunks(BATCH_WITHIN * dim) {
            let mut found = self.0.within(batch, least)?;
            found.iter_mut().for_each(|found| found.truncate(top));
            all.extend(self.named(found));
        }
        Ok(all)
    }

    /// Adds to what was found what the user said about the images.
    ///
    /// # Errors
    /// Damage in the tables.
    pub fn tell<'b>(&self, found: impl IntoIterator<Item = &'b mut Nearest>) -> Result<(), QueryError> {
        let segments = self.0.collection.segments();
        let tables = segments.iter().map(|segment| segment.metadata()).collect::<Result<Vec<_>, _>>()?;
        if tables.iter().all(Option::is_none) {
            return Ok(());
        }
        let listing = self.0.collection.listing()?;
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

    fn require_dim(&self, vectors: &[f32]) -> Result<usize, QueryError> {
        let dim = self.0.collection.manifest().dim as usize;
        match vectors.len() % dim {
            0 => Ok(dim),
            found => Err(QueryError::Dimensions { expected: dim, found }),
        }
    }

    fn named(&self, found: Vec<Vec<FoundRow<'_>>>) -> Vec<Vec<Nearest>> {
        // Rounding takes the cosine of equal vectors past 1.
        let most = if self.0.collection.metric().normalise { 1.0 } else { f32::INFINITY };
        let named = |found: FoundRow<'_>| {
            let shown = &self.0.images[found.stretch.image].shown[0];
            Nearest {
                image: shown.image.path_text(),
                id: shown.image.id(),
                metadata: Map::new(),
                bbox: found.stretch.grid.patch_box(found.patch),
                row: self.0.row(&found),
                similarity: found.similarity.min(most),
            }
        };
        found.into_iter().map(|found| found.into_iter().map(named).collect()).collect()
    }
}
