//! Rows rounded to whole numbers of 16 bits. Their products need about two thirds of the time of those of `f32`, and tell how large
//! an inner product is at most.

use std::ops::RangeInclusive;

/// Length of a rounded row, in steps. No number of it is longer, so that each fits 16 bits; whatever numbers of two rows are
/// multiplied, their products add up to no more than the square of the length, a half of what 32 bits hold.
pub(super) const LENGTH: f32 = 32_000.0;

/// Lengths of rows that are rounded: their squares are ordinary numbers of single precision.
pub(super) const LENGTHS: RangeInclusive<f32> = 1e-15..=1e15;

/// Rounded rows are filled up with zeros to a multiple of this many numbers.
pub(super) const LANES: usize = 16;

/// Rows, scaled to one length and rounded.
#[derive(Default)]
pub struct RoundedRows {
    /// Numbers of a row before it was filled up.
    pub(super) dim: usize,
    /// Two numbers each.
    pub(super) pairs: Vec<i32>,
    /// The length that each row had. No number where it was not rounded.
    pub(super) lengths: Vec<f32>,
    /// How far each is off, beside its length.
    pub(super) errors: Vec<f32>,
}

impl RoundedRows {
    /// Pairs of a row.
    pub(super) fn row_pairs(&self) -> usize {
        self.dim.next_multiple_of(LANES) / 2
    }
}

/// One instruction set's functions of rounded rows.
#[derive(Clone, Copy)]
pub struct Rounding {
    /// Rounds rows of `dim` numbers, in place of what `rounded` held.
    pub round: fn(rows: &[f32], dim: usize, rounded: &mut RoundedRows),
    /// For every row of `a` and every row of `b` what their inner product is at most, however it is added up in single precision:
    /// rows of `a` × rows of `b`, row-major. `slack` times the lengths of both comes on top. Infinite where a row was not rounded,
    /// for it is too long, too short or of no numbers.
    pub bounds: fn(a: &RoundedRows, b: &RoundedRows, slack: f32, out: &mut [f32]),
}

/// By how much [`Kernels::dot_i8`](super::Kernels::dot_i8) may round a unit query: each number by a half of 1/32,767 of the largest.
pub fn dot_i8_slack(dim: usize) -> f32 {
    (dim as f32).sqrt() / 2.0 / f32::from(i16::MAX)
}
