//! k-NN segmentation at the size of Cityscapes: the nearest of 451,584 training patches of 768 numbers for 188,160 patches of validation
//! images, beside a large matrix product in as many threads. Rows are made up around seeded centres; the queries are measured
//! on a share of them (`--queries N`), which says how long all take.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench is a program that prints its figures and stops at the first surprise"
)]

mod ratio;

use ndarray::Array2;
use patchdex::index::{DEFAULT_EF, ExactIndex, PatchIndex, Rows, Vectors};
use patchdex::metric::METRICS;
use rayon::prelude::*;

const DIM: usize = 768;
/// Patches of 72 training images, and of 30 of validation: 6,272 each.
const TRAINING: usize = 451_584;
const VALIDATION: usize = 188_160;
const CENTRES: usize = 1000;
const NEIGHBOURS: usize = 20;
const ROUNDS: usize = 3;
/// Rows and columns of the product that nothing is kept of.
const LARGE: usize = 1536;
const BAR: f64 = 0.7;

fn main() {
    if !ratio::is_bench() {
        return;
    }
    let asked = std::env::args().skip_while(|argument| argument != "--queries").nth(1);
    let count = asked.map_or(2048, |count| count.parse().unwrap());
    let centres = numbers(CENTRES * DIM, 1);
    let (rows, queries) = (around(&centres, TRAINING, 2), around(&centres, count, 3));
    let large = Array2::from_shape_vec((LARGE, LARGE), numbers(LARGE * LARGE, 4)).unwrap();
    let vectors = Vectors { rows: Rows::F32(&rows), dim: DIM, metric: METRICS[0] };
    let index = ExactIndex { vectors };
    let threads = ratio::all_threads();
    let mut product = || {
        ratio::timed(|| (0..threads).into_par_iter().for_each(|_| drop(divan::black_box(large.dot(&large)))))
    };
    let mut search = || ratio::timed(|| index.search_many(&queries, NEIGHBOURS, DEFAULT_EF));
    let seconds = ratio::interleaved(ROUNDS, &mut [&mut product, &mut search]);
    let peak = (threads * LARGE * LARGE * LARGE) as f64 / seconds[0];
    let speed = (count * TRAINING * DIM) as f64 / seconds[1];
    println!("{threads} threads: product of {LARGE} x {LARGE} {:.1} G multiply-adds/s", peak / 1e9);
    println!(
        "{threads} threads: {NEIGHBOURS} nearest of {TRAINING} x {DIM} for {count} queries {:.1} G multiply-adds/s, ratio {}",
        speed / 1e9,
        ratio::against_bar(speed / peak, BAR)
    );
    println!(
        "all {VALIDATION} queries: {:.0} s; rows {:.2} GB, and a block of queries with their lists at a time",
        VALIDATION as f64 * (TRAINING * DIM) as f64 / speed,
        (TRAINING * DIM * 4) as f64 / 1e9
    );
}

/// Numbers from -1 to 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(number).collect()
}

/// Rows of unit length around the centres.
fn around(centres: &[f32], count: usize, seed: u64) -> Vec<f32> {
    let mut rows = numbers(count * DIM, seed);
    rows.par_chunks_exact_mut(DIM).enumerate().for_each(|(at, row)| {
        let centre = &centres[at * 7919 % CENTRES * DIM..][..DIM];
        row.iter_mut().zip(centre).for_each(|(value, centre)| *value = 0.5 * *value + centre);
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
    });
    rows
}
