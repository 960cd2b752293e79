//! Stored vectors: element kinds, how rows are encoded, and rows in place in a map.

use half::f16;
use half::slice::HalfFloatSliceExt;
use patchdex_format::Element;

use super::Neighbour;
use crate::metric::kernels::prefetch;
use crate::metric::{Comparison, Kernels, Metric};

/// Element kinds that vectors can be stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKind {
    /// Name on the command line and in the manifest.
    pub name: &'static str,
    /// Element on disk.
    pub element: Element,
}

impl RowKind {
    /// Half precision: the kind that is stored when none is named.
    pub const DEFAULT: RowKind = RowKind { name: "f16", element: Element::F16 };

    /// Signed bytes with one scale a row.
    pub const I8: RowKind = RowKind { name: "i8", element: Element::I8 };

    /// Every kind.
    pub const ALL: [RowKind; 3] = [RowKind { name: "f32", element: Element::F32 }, Self::DEFAULT, Self::I8];

    /// The kind called `name`.
    pub fn named(name: &str) -> Option<RowKind> {
        Self::ALL.into_iter().find(|kind| kind.name == name)
    }

    /// Bytes of a row of `dim` numbers, with the scale of a quantised row.
    pub fn row_bytes(&self, dim: usize) -> usize {
        dim * self.element.size_bytes() + if self.element == Element::I8 { 4 } else { 0 }
    }

    /// Encodes rows of `dim` numbers: the elements' bytes, and one scale a row for `i8` (empty otherwise). A row of
    /// `i8` is `round(v / scale)` with `scale = max|v| / 127`.
    pub fn encode(&self, rows: &[f32], dim: usize) -> (Vec<u8>, Vec<f32>) {
        match self.element {
            Element::F16 => {
                let mut halves = vec![f16::ZERO; rows.len()];
                halves.convert_from_f32_slice(rows);
                (bytemuck::cast_slice(&halves).to_vec(), Vec::new())
            }
            Element::I8 => {
                let mut scales = Vec::with_capacity(rows.len() / dim.max(1));
                let mut bytes = Vec::with_capacity(rows.len());
                for row in rows.chunks_exact(dim) {
                    let largest = row.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                    let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
                    bytes.extend(row.iter().map(|v| (v / scale).round() as i8 as u8));
                    scales.push(scale);
                }
                (bytes, scales)
            }
            _ => (bytemuck::cast_slice(rows).to_vec(), Vec::new()),
        }
    }

    /// The first of the `encoded` numbers that this kind does not hold: halves end at 65,504, and what is more became infinite.
    pub fn overflow(&self, encoded: &[u8]) -> Option<usize> {
        let is_infinite = |half: &[u8]| f16::from_le_bytes([half[0], half[1]]).is_infinite();
        match self.element {
            Element::F16 => encoded.chunks_exact(2).position(is_infinite),
            _ => None,
        }
    }
}

/// How vectors are stored, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorLayout {
    /// Element kind of their rows.
    pub kind: RowKind,
    /// Numbers in a vector.
    pub dim: usize,
    /// How they are compared.
    pub metric: Metric,
}

/// Numbers of stored vectors, row by row, in place.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// Signed bytes with one scale a row.
    I8(&'a [i8], &'a [f32]),
}

/// Stored vectors.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    /// Their numbers.
    pub rows: Rows<'a>,
    /// Numbers in a vector.
    pub dim: usize,
    /// How they are compared.
    pub metric: Metric,
}

impl Vectors<'_> {
    /// Similarities of `query` with rows `first..first + scores.len()`.
    pub fn score(&self, query: &[f32], first: usize, scores: &mut [f32]) {
        assert_eq!(query.len(), self.dim, "a query has as many numbers as a stored vector");
        let of = first..first + scores.len();
        let range = first * self.dim..of.end * self.dim;
        let kernels = Kernels::best();
        match (self.metric.comparison, self.rows) {
            (Comparison::Product, Rows::F32(rows)) => (kernels.dot_f32)(query, &rows[range], scores),
            (Comparison::Product, Rows::F16(rows)) => (kernels.dot_f16)(query, &rows[range], scores),
            (Comparison::Product, Rows::I8(rows, scales)) => {
                (kernels.dot_i8)(query, &rows[range], scores);
                scores.iter_mut().zip(&scales[of]).for_each(|(score, scale)| *score *= scale);
            }
            (Comparison::Distance, Rows::F32(rows)) => (kernels.l2_f32)(query, &rows[range], scores),
            (Comparison::Distance, Rows::F16(rows)) => (kernels.l2_f16)(query, &rows[range], scores),
            (Comparison::Distance, Rows::I8(rows, scales)) => {
                (kernels.l2_i8)(query, &rows[range], &scales[of], scores);
            }
        }
        if self.metric.comparison == Comparison::Distance {
            scores.iter_mut().for_each(|score| *score = -*score);
        }
    }

    /// A row, with its similarity with `query`.
    pub fn scored(&self, query: &[f32], row: u64) -> Neighbour {
        let mut similarity = [0.0];
        self.score(query, row as usize, &mut similarity);
        Neighbour { similarity: similarity[0], row }
    }

    /// Rows `first..` as single precision, as many as fill `out`.
    pub fn widen(&self, first: usize, out: &mut [f32]) {
        let dim = self.dim;
        let range = first * dim..first * dim + out.len();
        match self.rows {
            Rows::F32(rows) => out.copy_from_slice(&rows[range]),
            Rows::F16(rows) => (Kernels::best().widen_f16)(&rows[range], out),
            Rows::I8(rows, scales) => {
                let rows = rows[range].chunks_exact(dim).zip(out.chunks_exact_mut(dim));
                for ((row, out), scale) in rows.zip(&scales[first..]) {
                    row.iter().zip(out).for_each(|(&v, out)| *out = f32::from(v) * scale);
                }
            }
        }
    }

    /// Asks for a row, to be scored soon.
    pub fn prefetch(&self, row: usize) {
        let range = row * self.dim..(row + 1) * self.dim;
        match self.rows {
            Rows::F32(rows) => prefetch(&rows[range]),
            Rows::F16(rows) => prefetch(&rows[range]),
            Rows::I8(rows, _) => prefetch(&rows[range]),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let numbers = match self.rows {
            Rows::F32(rows) => rows.len(),
            Rows::F16(rows) => rows.len(),
            Rows::I8(rows, _) => rows.len(),
        };
        numbers / self.dim
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::METRICS;

    #[test]
    fn every_kind_gives_back_about_what_was_stored() {
        let dim = 16;
        let rows: Vec<f32> = (0..dim * 5).map(|at| ((at * 37 % 101) as f32 / 50.0) - 1.0).collect();
        for kind in RowKind::ALL {
            let (bytes, scales) = kind.encode(&rows, dim);
            assert_eq!(bytes.len() + scales.len() * 4, kind.row_bytes(dim) * 5, "{}", kind.name);
            let aligned: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
            let bytes: &[u8] = &bytemuck::cast_slice(&aligned)[..bytes.len()];
            let halves: Vec<f16>;
            let stored = match kind.element {
                Element::F16 => {
                    halves = bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
                    Rows::F16(&halves)
                }
                Element::I8 => Rows::I8(bytemuck::cast_slice(bytes), &scales),
                _ => Rows::F32(bytemuck::cast_slice(bytes)),
            };
            for metric in METRICS {
                let vectors = Vectors { rows: stored, dim, metric };
                assert_eq!(vectors.len(), 5);
                let mut wide = vec![0.0; dim * 2];
                vectors.widen(3, &mut wide);
                for (a, b) in wide.iter().zip(&rows[3 * dim..]) {
                    assert!((a - b).abs() < 0.005, "{}: {a} {b}", kind.name);
                }
                let mut scores = [0.0; 2];
                vectors.score(&rows[..dim], 3, &mut scores);
                let pairs = rows[..dim].iter().zip(&rows[3 * dim..]);
                let expected: f32 = match metric.comparison {
                    Comparison::Product => pairs.map(|(a, b)| a * b).sum(),
                    Comparison::Distance => -pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>(),
                };
                assert!((scores[0] - expected).abs() < 0.05, "{} {}", kind.name, metric.name);
            }
        }
    }
}
