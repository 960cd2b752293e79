//! Similarities and the kernels that compute them. A metric says how vectors are made comparable before they are
//! stored, and how they are compared; the kernels compare a query with stored rows, one set per instruction set, chosen
//! once per process.

pub mod kernels;

pub use kernels::Kernels;

/// A similarity between a query token and a stored vector; higher is closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name in the manifest and on the command line.
    pub name: &'static str,
    /// Whether vectors are scaled to unit length before they are stored or asked for.
    pub normalise: bool,
    /// What of two vectors counts.
    pub comparison: Comparison,
}

/// What of two vectors counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Their inner product.
    Product,
    /// The negative of their squared Euclidean distance.
    Distance,
}

/// Every metric. The first is the default.
pub const METRICS: [Metric; 3] = [Metric::COSINE, Metric::DOT, Metric::L2];

impl Metric {
    /// The cosine of the angle between two vectors.
    pub const COSINE: Metric = Metric { name: "cosine", normalise: true, comparison: Comparison::Product };
    /// The inner product, of vectors of any length: long ones are similar to many.
    pub const DOT: Metric = Metric { name: "dot", normalise: false, comparison: Comparison::Product };
    /// The negative squared Euclidean distance: 0 for equal vectors.
    pub const L2: Metric = Metric { name: "l2", normalise: false, comparison: Comparison::Distance };

    /// The metric called `name`.
    pub fn named(name: &str) -> Option<Metric> {
        METRICS.into_iter().find(|metric| metric.name == name)
    }

    /// Makes rows of `dim` numbers comparable, in place. Rows of zeros stay zero.
    pub fn prepare(&self, rows: &mut [f32], dim: usize) {
        if self.normalise {
            for row in rows.chunks_exact_mut(dim) {
                let norm = row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
                if norm > 0.0 {
                    row.iter_mut().for_each(|v| *v = (f64::from(*v) / norm) as f32);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn preparing_twice_is_preparing_once(rows in proptest::collection::vec(-1e3f32..1e3, 24)) {
            for metric in METRICS {
                let mut once = rows.clone();
                metric.prepare(&mut once, 8);
                let mut twice = once.clone();
                metric.prepare(&mut twice, 8);
                for (a, b) in once.iter().zip(&twice) {
                    prop_assert!((a - b).abs() <= 1e-6 * a.abs().max(1.0), "{}", metric.name);
                }
            }
        }
    }

    #[test]
    fn names_are_unique_and_found() {
        for metric in METRICS {
            assert_eq!(Metric::named(metric.name), Some(metric));
        }
        assert_eq!(Metric::named("hamming"), None);
    }
}
