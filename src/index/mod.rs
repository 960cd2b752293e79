//! Stored vectors and how they are searched. An index kind is one file here and one line in [`INDEX_KINDS`].
//! Knows rows of numbers only: no files, images or segments.

mod exact;
mod hnsw;
mod row_set;
mod rows;
mod topk;

use std::io::{self, Write};

pub use exact::{ExactIndex, similarities};
pub use hnsw::{BUILDERS, Graph, GraphBuilder, HnswIndex, HnswParameters, Proof, Twins, UnknownBuilder};
use patchdex_format::{ContainerWriter, FormatError, Layout};
pub use row_set::RowSet;
pub use rows::{RowKind, Rows, VectorLayout, Vectors};
pub use topk::{Neighbour, TopK};

/// Nodes that an approximate index keeps in view where nobody says how many.
pub const DEFAULT_EF: usize = 64;

/// A searchable set of vectors. Answers are the same for any number of threads.
pub trait PatchIndex: Send + Sync {
    /// The `k` vectors most similar to `query`, best first; of equal ones the lower row first. An approximate index looks as
    /// hard as `ef` says, the nodes that it keeps in view; the exact one takes no notice.
    fn search(&self, query: &[f32], k: usize, ef: usize) -> Vec<Neighbour>;

    /// The same for each of `queries`, on all threads of the calling one's rayon pool.
    fn search_many(&self, queries: &[f32], k: usize, ef: usize) -> Vec<Vec<Neighbour>>;

    /// Bytes that it holds beside the vectors.
    fn size_bytes(&self) -> usize;

    /// Writes the sections of its file: none where it holds nothing beside the vectors.
    ///
    /// # Errors
    /// The writer's.
    fn write(&self, writer: &mut ContainerWriter<&mut dyn Write>) -> io::Result<()>;
}

/// A kind of index.
pub struct IndexKind {
    /// Name on the command line.
    pub name: &'static str,
    /// Whether it finds all neighbours, whatever `ef`.
    pub is_exact: bool,
    /// Builds it over stored vectors.
    pub build: for<'a> fn(Vectors<'a>, &HnswParameters) -> Box<dyn PatchIndex + 'a>,
    /// Opens what [`PatchIndex::write`] wrote, in place: the bytes of a file with its section table, and the vectors.
    pub open: Open,
}

/// The type of [`IndexKind::open`].
pub type Open = for<'a> fn(&Layout, &'a [u8], Vectors<'a>) -> Result<Box<dyn PatchIndex + 'a>, FormatError>;

/// Every kind. The first is the truth that others are judged against.
pub const INDEX_KINDS: [IndexKind; 2] = [
    IndexKind {
        name: "exact",
        is_exact: true,
        build: |vectors, _| Box::new(ExactIndex { vectors }),
        open: |_, _, vectors| Ok(Box::new(ExactIndex { vectors })),
    },
    IndexKind {
        name: "hnsw",
        is_exact: false,
        build: |vectors, parameters| {
            let graph = Graph::build(vectors, parameters);
            Box::new(HnswIndex { graph, vectors })
        },
        open: |layout, bytes, vectors| {
            let graph = Graph::parse(layout, bytes, vectors.dim, vectors.metric)?;
            Ok(Box::new(HnswIndex { graph, vectors }))
        },
    },
];

impl IndexKind {
    /// The kind called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        INDEX_KINDS.iter().find(|kind| kind.name == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metric::{Comparison, METRICS, Metric};

    fn vectors(rows: &[f32], metric: Metric) -> Vectors<'_> {
        Vectors { rows: Rows::F32(rows), dim: 4, metric }
    }

    proptest! {
        #[test]
        fn every_kind_finds_what_sorting_finds(
            values in proptest::collection::vec(-4i8..4, 4..400), k in 0usize..12,
            metric in proptest::sample::select(&METRICS[..]),
        ) {
            let rows: Vec<f32> = values[..values.len() / 4 * 4].iter().map(|&v| f32::from(v)).collect();
            let query = [1.0, -0.5, 0.25, 2.0];
            let expected_rows = rows.len() / 4;
            let mut expected: Vec<(f32, u64)> = rows
                .chunks_exact(4)
                .map(|row| {
                    let pairs = row.iter().zip(query);
                    match metric.comparison {
                        Comparison::Product => pairs.map(|(a, b)| a * b).sum(),
                        Comparison::Distance => -pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>(),
                    }
                })
                .zip(0u64..)
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            for kind in &INDEX_KINDS {
                let index = (kind.build)(vectors(&rows, metric), &HnswParameters::default());
                // With every row in view no kind may miss one.
                let found = index.search(&query, k, expected_rows);
                let many = index.search_many(&query, k, expected_rows);
                prop_assert_eq!(many, std::slice::from_ref(&found), "{}", kind.name);
                let found: Vec<(f32, u64)> = found.iter().map(|n| (n.similarity, n.row)).collect();
                prop_assert_eq!(&found, &expected, "{}", kind.name);
            }
        }
    }

    #[test]
    fn every_kind_answers_from_its_file_as_it_did_before() {
        let rows: Vec<f32> = (0..4000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as f32).collect();
        let query = [0.3, -0.7, 0.2, 0.1];
        for (kind, metric) in INDEX_KINDS.iter().flat_map(|kind| METRICS.map(|metric| (kind, metric))) {
            let vectors = vectors(&rows, metric);
            let built = (kind.build)(vectors, &HnswParameters::default());
            let mut bytes = Vec::new();
            let mut writer = ContainerWriter::new(&mut bytes as &mut dyn Write, "a", "test").unwrap();
            built.write(&mut writer).unwrap();
            writer.finish().unwrap();
            let aligned: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            let bytes: &[u8] = &bytemuck::cast_slice(&aligned)[..bytes.len()];
            let opened = (kind.open)(&Layout::parse(bytes, "a").unwrap(), bytes, vectors).unwrap();
            let answers = [&built, &opened].map(|index| index.search(&query, 9, DEFAULT_EF));
            assert_eq!(answers[0], answers[1], "{}", kind.name);
            assert_eq!(opened.size_bytes(), built.size_bytes(), "{}", kind.name);
        }
    }

    #[test]
    fn every_kind_gives_the_same_for_any_number_of_threads() {
        let rows: Vec<f32> =
            (0..16_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0).collect();
        for kind in &INDEX_KINDS {
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let index = (kind.build)(vectors(&rows, Metric::L2), &HnswParameters::default());
                    index.search(&[0.3, -0.7, 0.2, 0.1], 25, 50)
                })
            };
            assert_eq!(with(1), with(2), "{}", kind.name);
            assert_eq!(with(1), with(7), "{}", kind.name);
        }
    }
}
