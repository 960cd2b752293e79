//! What is searched and what is asked: vectors of a collection or of a foreign file, stored as the product stores them, and
//! queries that are not among them.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use half::f16;
use patchdex_format::Element;
use serde::Serialize;

use super::EvalError;
use crate::collection::Collection;
use crate::core::drawn;
use crate::exchange::{ExchangeError, VectorFile};
use crate::index::{RowKind, Rows, Vectors};
use crate::metric::{METRICS, Metric};
use crate::query::comparable;

/// Rows that are read at a time.
const BLOCK_ROWS: usize = 4096;
/// Queries that are held out when nobody says how many, of data that are large enough.
const HELD_OUT: usize = 1000;

/// Where the queries come from.
#[derive(Clone, Copy, Debug)]
pub enum Queries<'a> {
    /// The rows of a vector file; for a collection tokens or prepared vectors.
    File(&'a Path),
    /// Rows of the data, which then are not searched.
    HeldOut {
        /// How many; none: 1000, but no more than a tenth.
        count: Option<usize>,
        /// What chooses them.
        seed: u64,
    },
}

/// How data are read.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// Where the queries come from.
    pub queries: Queries<'a>,
    /// The similarity; none: a collection's own, cosine for files.
    pub metric: Option<Metric>,
    /// How vectors are stored; none: as in the collection, in half precision for files.
    pub rows: Option<RowKind>,
}

/// What is searched and asked.
pub struct AnnData {
    base: StoredRows,
    queries: Vec<f32>,
    metric: Metric,
    /// What they are.
    pub about: DataReport,
}

/// What the data are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataReport {
    /// File or collection.
    pub path: String,
    /// Vectors that are searched.
    pub rows: usize,
    /// Numbers in each.
    pub dim: usize,
    /// The similarity.
    pub metric: &'static str,
    /// Element kind of the stored vectors.
    pub vectors: &'static str,
    /// Number of queries.
    pub queries: usize,
    /// Their file; none where they were held out.
    pub queries_path: Option<String>,
    /// Further rows that were left out because they equal a query.
    pub equal_left_out: usize,
}

impl AnnData {
    /// Reads a collection's folder or a vector file. Where queries are held out, no vector that equals one is searched.
    ///
    /// # Errors
    /// What cannot be read, does not fit together, or is too little.
    pub fn load(path: &Path, options: &LoadOptions<'_>) -> Result<Self, EvalError> {
        let source = Source::open(path, options.metric)?;
        let (dim, metric) = (source.dim(), source.metric());
        let kind = options.rows.unwrap_or_else(|| source.row_kind());
        let mut base = StoredRows::new(kind);
        let (mut held_out, mut equal) = (Vec::new(), HashSet::new());
        let queries = match options.queries {
            Queries::File(file) => source.queries(file)?,
            Queries::HeldOut { count, seed } => {
                let rows = source.rows();
                let asked = count.unwrap_or(HELD_OUT.min(rows / 10).max(1));
                if asked > rows / 2 {
                    return Err(EvalError::TooFewRows { path: path.to_owned(), rows, asked });
                }
                let chosen = drawn(rows, asked, seed);
                let mut queries = source.rows_at(&chosen)?;
                let stored = queries.chunks_exact(dim).map(|query| kind.encode(query, dim));
                equal.extend(stored.map(|(bytes, scale)| bits(&bytes, &scale)));
                held_out = chosen;
                metric.prepare(&mut queries, dim);
                queries
            }
        };
        held_out.sort_unstable();
        let mut equal_left_out = 0;
        let row_bytes = dim * kind.element.size_bytes();
        let mut is_held = Ok(());
        source.read(&mut |first, rows| {
            let (bytes, scales) = kind.encode(rows, dim);
            if is_held.is_ok() {
                is_held = ExchangeError::unless_held(path, first as u64, &kind, &bytes, dim);
            }
            for (at, bytes) in bytes.chunks_exact(row_bytes).enumerate() {
                let scale = scales.get(at..=at).unwrap_or_default();
                if !equal.is_empty() && equal.contains(&bits(bytes, scale)) {
                    equal_left_out += usize::from(held_out.binary_search(&(first + at)).is_err());
                } else {
                    base.push(bytes, scale);
                }
            }
        })?;
        is_held?;
        let rows = Vectors { rows: base.rows(), dim, metric }.len();
        if rows == 0 {
            return Err(EvalError::NothingLeft { path: path.to_owned() });
        }
        let about = DataReport {
            path: path.display().to_string(),
            rows,
            dim,
            metric: metric.name,
            vectors: kind.name,
            queries: queries.len() / dim,
            queries_path: match options.queries {
                Queries::File(file) => Some(file.display().to_string()),
                Queries::HeldOut { .. } => None,
            },
            equal_left_out,
        };
        Ok(Self { base, queries, metric, about })
    }

    /// The vectors that are searched.
    pub fn base(&self) -> Vectors<'_> {
        Vectors { rows: self.base.rows(), dim: self.about.dim, metric: self.metric }
    }

    /// The queries, rows of as many numbers, comparable with the vectors.
    pub fn queries(&self) -> &[f32] {
        &self.queries
    }
}

/// What tells stored rows apart.
fn bits(bytes: &[u8], scale: &[f32]) -> Vec<u8> {
    [bytes, bytemuck::cast_slice(scale)].concat()
}

/// Encoded rows in memory.
enum StoredRows {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>, Vec<f32>),
}

impl StoredRows {
    fn new(kind: RowKind) -> Self {
        match kind.element {
            Element::F16 => Self::F16(Vec::new()),
            Element::I8 => Self::I8(Vec::new(), Vec::new()),
            _ => Self::F32(Vec::new()),
        }
    }

    /// Appends a row as [`RowKind::encode`] gave it.
    fn push(&mut self, bytes: &[u8], scale: &[f32]) {
        match self {
            Self::F32(rows) => rows.extend(bytemuck::pod_collect_to_vec::<u8, f32>(bytes)),
            Self::F16(rows) => rows.extend(bytemuck::pod_collect_to_vec::<u8, f16>(bytes)),
            Self::I8(rows, scales) => {
                rows.extend_from_slice(bytemuck::cast_slice(bytes));
                scales.extend_from_slice(scale);
            }
        }
    }

    fn rows(&self) -> Rows<'_> {
        match self {
            Self::F32(rows) => Rows::F32(rows),
            Self::F16(rows) => Rows::F16(rows),
            Self::I8(rows, scales) => Rows::I8(rows, scales),
        }
    }
}

/// Where vectors come from; they are numbered from 0.
enum Source {
    File { file: VectorFile, metric: Metric },
    Collection { collection: Box<Collection>, live: Vec<LiveRows> },
}

/// Stored rows of a segment that belong to an image.
struct LiveRows {
    segment: usize,
    rows: Range<usize>,
}

impl Source {
    fn open(path: &Path, metric: Option<Metric>) -> Result<Self, EvalError> {
        if !path.is_dir() {
            let file = VectorFile::open(path)?;
            return Ok(Self::File { file, metric: metric.unwrap_or(METRICS[0]) });
        }
        let collection = Box::new(Collection::open(path)?);
        let made_for = collection.metric();
        if let Some(asked) = metric.filter(|&asked| asked != made_for) {
            let (made_for, asked) = (made_for.name, asked.name);
            return Err(EvalError::Metric { path: path.to_owned(), made_for, asked });
        }
        let mut live = Vec::new();
        for (segment, images) in collection.segments().iter().enumerate() {
            for image in images.images() {
                let image = image?;
                // Copies of an image share the patches of the first.
                let views = image.views().filter(|_| image.is_original());
                let rows = views.map(|view| view.first_patch..view.first_patch + view.grid.len());
                live.extend(rows.map(|rows| LiveRows { segment, rows }));
            }
        }
        Ok(Self::Collection { collection, live })
    }

    fn dim(&self) -> usize {
        match self {
            Self::File { file, .. } => file.dim(),
            Self::Collection { collection, .. } => collection.manifest().dim as usize,
        }
    }

    fn metric(&self) -> Metric {
        match self {
            Self::File { metric, .. } => *metric,
            Self::Collection { collection, .. } => collection.metric(),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::File { file, .. } => file.rows(),
            Self::Collection { live, .. } => live.iter().map(|live| live.rows.len()).sum(),
        }
    }

    fn row_kind(&self) -> RowKind {
        match self {
            Self::File { .. } => RowKind::DEFAULT,
            Self::Collection { collection, .. } => {
                RowKind::named(&collection.manifest().vectors).unwrap_or(RowKind::DEFAULT)
            }
        }
    }

    /// Gives all rows from first to last, some at a time with the number of the first of them: as they are to be stored.
    fn read(&self, take: &mut dyn FnMut(usize, &[f32])) -> Result<(), EvalError> {
        let dim = self.dim();
        match self {
            Self::File { file, metric } => {
                for first in (0..file.rows()).step_by(BLOCK_ROWS) {
                    let mut rows = vec![0.0; (file.rows() - first).min(BLOCK_ROWS) * dim];
                    file.read(first, &mut rows)?;
                    metric.prepare(&mut rows, dim);
                    take(first, &rows);
                }
            }
            Self::Collection { collection, live } => {
                let mut first = 0;
                for LiveRows { segment, rows } in live {
                    let mut numbers = vec![0.0; rows.len() * dim];
                    collection.segments()[*segment].vectors().widen(rows.start, &mut numbers);
                    take(first, &numbers);
                    first += rows.len();
                }
            }
        }
        Ok(())
    }

    /// The rows called `numbers`, in that order.
    fn rows_at(&self, numbers: &[usize]) -> Result<Vec<f32>, EvalError> {
        let dim = self.dim();
        let mut places: Vec<(usize, usize)> = numbers.iter().copied().zip(0..).collect();
        places.sort_unstable();
        let mut found = vec![0.0; numbers.len() * dim];
        self.read(&mut |first, rows| {
            let end = first + rows.len() / dim;
            let start = places.partition_point(|&(row, _)| row < first);
            for &(row, place) in places[start..].iter().take_while(|&&(row, _)| row < end) {
                found[place * dim..][..dim].copy_from_slice(&rows[(row - first) * dim..][..dim]);
            }
        })?;
        Ok(found)
    }

    /// The rows of another file, comparable with the stored ones.
    fn queries(&self, path: &Path) -> Result<Vec<f32>, EvalError> {
        let file = VectorFile::open(path)?;
        let mut rows = vec![0.0; file.rows() * file.dim()];
        file.read(0, &mut rows)?;
        match self {
            Self::Collection { collection, .. } => Ok(comparable(collection, &rows, file.dim(), None)?),
            Self::File { metric, file: data } if data.dim() == file.dim() => {
                metric.prepare(&mut rows, file.dim());
                Ok(rows)
            }
            Self::File { file: data, .. } => {
                let (found, expected) = (file.dim(), data.dim());
                Err(EvalError::Dimensions { path: path.to_owned(), found, expected })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::VectorFileWriter;

    fn written(folder: &Path, rows: &[f32], dim: usize) -> std::path::PathBuf {
        let path = folder.join("a.npy");
        let mut file = VectorFileWriter::create(&path, (rows.len() / dim) as u64, dim).unwrap();
        file.push(rows).unwrap();
        file.finish().unwrap();
        path
    }

    fn options(count: usize) -> LoadOptions<'static> {
        LoadOptions {
            queries: Queries::HeldOut { count: Some(count), seed: 3 },
            metric: Metric::named("dot"),
            rows: None,
        }
    }

    #[test]
    fn no_vector_is_both_searched_and_asked() {
        let folder = tempfile::tempdir().unwrap();
        // Every vector twice.
        let rows: Vec<f32> = (0..200u8).flat_map(|row| [f32::from(row / 2), 1.0, 2.0]).collect();
        let path = written(folder.path(), &rows, 3);
        let data = AnnData::load(&path, &options(20)).unwrap();
        let Rows::F16(base) = data.base().rows else { panic!("half precision is the default") };
        let first = |row: &[f32]| row[0] as u32;
        let asked: HashSet<u32> = data.queries().chunks(3).map(first).collect();
        assert!(base.chunks(3).all(|row| !asked.contains(&(row[0].to_f32() as u32))));
        assert_eq!(data.queries().len() / 3, 20);
        assert_eq!(base.len() / 3 + data.about.equal_left_out + 20, 200);
        assert_eq!(data.about.equal_left_out, 2 * asked.len() - 20);
        let again = AnnData::load(&path, &options(20)).unwrap();
        assert_eq!(again.queries(), data.queries());
    }

    #[test]
    fn too_little_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), &[1.0; 30], 3);
        let error = AnnData::load(&path, &options(6)).err().unwrap();
        assert!(error.to_string().contains("hold out 6 of 10 rows"), "{error}");
        let error = AnnData::load(&path, &options(1)).err().unwrap();
        assert!(matches!(error, EvalError::NothingLeft { .. }), "{error}");
    }

    #[test]
    fn cosine_makes_rows_and_queries_of_unit_length() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<f32> = (1..=60).map(|at| (at * at % 17) as f32).collect();
        let path = written(folder.path(), &rows, 3);
        let kind = RowKind::named("f32");
        let data = AnnData::load(&path, &LoadOptions { metric: None, rows: kind, ..options(4) }).unwrap();
        let Rows::F32(base) = data.base().rows else { panic!("f32 was asked for") };
        for row in base.chunks(3).chain(data.queries().chunks(3)) {
            let norm: f32 = row.iter().map(|v| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-6, "{row:?}");
        }
    }
}
