//! Stored vectors and how they are searched. An index kind is one file here and one line in [`INDEX_KINDS`].
//! Knows rows of numbers only: no files, images or segments.

mod exact;
mod rows;
mod topk;

pub use exact::{ExactIndex, similarities};
pub use rows::{RowKind, Vectors};
pub use topk::{Neighbour, TopK};

/// A searchable set of vectors.
pub trait PatchIndex: Sync {
    /// The `k` vectors most similar to `query`, best first; of equal ones the lower row first.
    fn search(&self, query: &[f32], k: usize) -> Vec<Neighbour>;
}

/// A kind of index.
pub struct IndexKind {
    /// Name on the command line.
    pub name: &'static str,
    /// Opens it over stored vectors of `dim` numbers.
    pub open: for<'a> fn(vectors: Vectors<'a>, dim: usize) -> Box<dyn PatchIndex + 'a>,
}

/// Every kind. The first is the truth that others are judged against.
pub const INDEX_KINDS: [IndexKind; 1] =
    [IndexKind { name: "exact", open: |vectors, dim| Box::new(ExactIndex { vectors, dim }) }];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_kind_finds_what_sorting_finds(
            values in proptest::collection::vec(-4i8..4, 4..400), k in 0usize..12,
        ) {
            let rows: Vec<f32> = values[..values.len() / 4 * 4].iter().map(|&v| f32::from(v)).collect();
            let query = [1.0, -0.5, 0.25, 2.0];
            let mut expected: Vec<(f32, u64)> = rows
                .chunks_exact(4)
                .map(|row| row.iter().zip(query).map(|(a, b)| a * b).sum())
                .zip(0u64..)
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            expected.truncate(k);
            for kind in &INDEX_KINDS {
                let found = (kind.open)(Vectors::F32(&rows), 4).search(&query, k);
                let found: Vec<(f32, u64)> = found.iter().map(|n| (n.similarity, n.row)).collect();
                prop_assert_eq!(&found, &expected, "{}", kind.name);
            }
        }
    }

    #[test]
    fn every_kind_gives_the_same_for_any_number_of_threads() {
        let rows: Vec<f32> =
            (0..40_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as f32 / 4096.0).collect();
        for kind in &INDEX_KINDS {
            let index = (kind.open)(Vectors::F32(&rows), 4);
            let with = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| index.search(&[0.3, -0.7, 0.2, 0.1], 25))
            };
            assert_eq!(with(1), with(2), "{}", kind.name);
            assert_eq!(with(1), with(7), "{}", kind.name);
        }
    }
}
