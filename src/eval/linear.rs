//! A linear probe: multinomial logistic regression over vectors, by minibatch gradient descent (Adam, Kingma and Ba 2015) on
//! standardised numbers. Deterministic: batches are drawn by a fixed seed, and products add in one order.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::core::SplitMix64;

const BATCH: usize = 1024;
/// How often a vector is drawn on average, and the bounds of the steps that this takes.
const EPOCHS: usize = 40;
const STEPS: [usize; 2] = [1000, 5000];
const RATE: f32 = 1e-2;
const DECAY: f32 = 1e-3;
const MOMENTUM: [f32; 2] = [0.9, 0.999];
const SEED: u64 = 0;

/// A trained probe.
pub(super) struct LinearProbe {
    mean: Array1<f32>,
    scale: Array1<f32>,
    /// Numbers of a vector and one more, by classes.
    weights: Array2<f32>,
}

impl LinearProbe {
    /// Trained on rows of `dim` numbers, of classes below `classes`.
    pub fn train(rows: &[f32], dim: usize, labels: &[u16], classes: usize) -> Self {
        let count = labels.len();
        let all = ArrayView2::from_shape((count, dim), rows).expect("invariant: a label for every row");
        let mean = all.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(dim));
        let scale =
            all.std_axis(Axis(0), 0.0).mapv(|deviation| if deviation > 0.0 { 1.0 / deviation } else { 0.0 });
        let mut probe = Self { mean, scale, weights: Array2::zeros((dim + 1, classes)) };
        let (mut first, mut second) = (probe.weights.clone(), probe.weights.clone());
        let batch = BATCH.min(count);
        let steps = (EPOCHS * count.div_ceil(batch.max(1))).clamp(STEPS[0], STEPS[1]);
        let mut random = SplitMix64(SEED);
        for step in 1..=steps {
            let drawn: Vec<usize> = (0..batch).map(|_| random.below(count)).collect();
            let inputs = probe.inputs(all.select(Axis(0), &drawn));
            let mut errors = softmax(inputs.dot(&probe.weights));
            for (mut row, &at) in errors.rows_mut().into_iter().zip(&drawn) {
                row[usize::from(labels[at])] -= 1.0;
            }
            let gradient = inputs.t().dot(&errors) / batch as f32 + &probe.weights * DECAY;
            first = first * MOMENTUM[0] + &gradient * (1.0 - MOMENTUM[0]);
            second = second * MOMENTUM[1] + (&gradient * &gradient) * (1.0 - MOMENTUM[1]);
            let [bias_first, bias_second] = MOMENTUM.map(|momentum| 1.0 - momentum.powi(step as i32));
            // The rate falls to nothing, so that the last batches do not decide.
            let rate = RATE * 0.5 * (1.0 + (std::f32::consts::PI * step as f32 / steps as f32).cos());
            ndarray::Zip::from(&mut probe.weights).and(&first).and(&second).for_each(|weight, m, v| {
                *weight -= rate * (m / bias_first) / ((v / bias_second).sqrt() + 1e-8);
            });
        }
        probe
    }

    /// The most likely class of each row; of equal ones the lower.
    pub fn classes(&self, rows: &[f32]) -> Vec<u16> {
        let dim = self.mean.len();
        let rows = ArrayView2::from_shape((rows.len() / dim, dim), rows).expect("invariant: whole rows");
        let scores = self.inputs(rows.to_owned()).dot(&self.weights);
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
            (1..row.len()).fold(0, better) as u16
        };
        scores.rows().into_iter().map(best).collect()
    }

    /// Standardised rows with a one behind each.
    fn inputs(&self, mut rows: Array2<f32>) -> Array2<f32> {
        rows -= &self.mean;
        rows *= &self.scale;
        let mut inputs = Array2::ones((rows.nrows(), rows.ncols() + 1));
        inputs.slice_mut(ndarray::s![.., ..rows.ncols()]).assign(&rows);
        inputs
    }
}

fn softmax(mut scores: Array2<f32>) -> Array2<f32> {
    for mut row in scores.rows_mut() {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.mapv_inplace(|score| (score - most).exp());
        let sum = row.sum();
        row.mapv_inplace(|part| part / sum);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_a_line_parts_are_told_apart() {
        let mut random = SplitMix64(3);
        let mut number = || (random.next_u64() >> 40) as f32 / (1 << 24) as f32;
        let rows: Vec<f32> = (0..600).flat_map(|_| [number() * 10.0, number(), 5.0]).collect();
        let label =
            |row: &[f32]| u16::from(row[0] / 10.0 + row[1] > 0.7) + u16::from(row[0] / 10.0 + row[1] > 1.3);
        let labels: Vec<u16> = rows.chunks_exact(3).map(label).collect();
        let probe = LinearProbe::train(&rows, 3, &labels, 3);
        let found = probe.classes(&rows);
        let right = found.iter().zip(&labels).filter(|(a, b)| a == b).count();
        assert!(right > 570, "{right} of 600");
        assert_eq!(LinearProbe::train(&rows, 3, &labels, 3).classes(&rows), found);
    }
}
