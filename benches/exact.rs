//! The exact index against the machine: a scan of one vector over more rows than the last-level cache holds, beside a
//! reader that only sums the same bytes; many tokens at once, beside a matrix product that is nothing else; and a crop's
//! tokens against the patches of one view.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench is a program that prints its figures and stops at the first surprise"
)]

mod ratio;

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use half::f16;
use patchdex::index::{DEFAULT_EF, ExactIndex, PatchIndex, Rows, Vectors, similarities};
use patchdex::metric::{Kernels, METRICS};
use rayon::prelude::*;

const DIM: usize = 384;
const STORE_BYTES: usize = 512 << 20;
const ROUNDS: usize = 15;
const NEIGHBOURS: usize = 10;
/// The bar for the exact scan.
const BAR: f64 = 0.85;
/// The bar for many tokens at once.
const PRODUCT_BAR: f64 = 0.8;
/// Bytes that one task of the reader sums.
const READ_BYTES: usize = 4 << 20;
/// Rows that many tokens are compared with.
const PRODUCT_ROWS: usize = 80_000;
/// Tokens at once.
const TOKENS: [usize; 6] = [3, 5, 6, 31, 32, 200];
/// Rows and columns of the product that nothing is kept of.
const LARGE: usize = 1536;
/// Patches of a 518×518 view.
const PATCHES: usize = 37 * 37;

fn main() {
    if ratio::is_bench() {
        bandwidth();
        products();
    }
    divan::main();
}

/// Bytes that are finite, ordinary numbers as `f32`, as `f16` and as `i8`: sign and mantissa at random, exponents of
/// halves from 2⁻⁵ to 1.
fn store(bytes: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let number = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let half = |bits: u16| (bits & 0x83ff) | ((10 + (bits >> 10) % 6) << 10);
        f32::from_bits(u32::from(half(state as u16)) | u32::from(half((state >> 16) as u16)) << 16)
    };
    (0..bytes / 4).map(number).collect()
}

fn vectors(rows: Rows<'_>) -> Vectors<'_> {
    Vectors { rows, dim: DIM, metric: METRICS[0] }
}

fn query() -> Vec<f32> {
    (0..DIM).map(|at| (at * 37 % 101) as f32 / 101.0 - 0.5).collect()
}

/// The scan of each element kind, and the reader, in turn: with one thread, with all.
fn bandwidth() {
    let store = store(STORE_BYTES / (DIM * 4) * DIM * 4);
    let bytes: &[u8] = bytemuck::cast_slice(&store);
    let scales = vec![0.01f32; bytes.len() / DIM];
    let kinds = [
        ("f32", Rows::F32(&store)),
        ("f16", Rows::F16(bytemuck::cast_slice::<f32, f16>(&store))),
        ("i8", Rows::I8(bytemuck::cast_slice(&store), &scales)),
    ];
    let query = query();
    println!(
        "exact scan of {} MB, {DIM} dimensions, best {NEIGHBOURS}, {} kernels, median of {ROUNDS} rounds",
        bytes.len() / 1_000_000,
        Kernels::best().name
    );
    let mut threads = vec![1, ratio::all_threads()];
    threads.dedup();
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut sides: Vec<Box<dyn FnMut() -> Duration>> =
            vec![Box::new(|| ratio::timed(|| pool.install(|| sum(bytes))))];
        for (_, rows) in kinds {
            let index = ExactIndex { vectors: vectors(rows) };
            let (pool, query) = (&pool, &query);
            sides.push(Box::new(move || {
                ratio::timed(|| pool.install(|| index.search(query, NEIGHBOURS, DEFAULT_EF)))
            }));
        }
        let mut sides: Vec<&mut dyn FnMut() -> Duration> =
            sides.iter_mut().map(|side| side as &mut dyn FnMut() -> Duration).collect();
        let seconds = ratio::interleaved(ROUNDS, &mut sides);
        let speed = |seconds: f64| bytes.len() as f64 / seconds / 1e9;
        println!("{threads} threads: reader {:.2} GB/s", speed(seconds[0]));
        for ((name, _), &side) in kinds.iter().zip(&seconds[1..]) {
            let ratio = ratio::against_bar(seconds[0] / side, BAR);
            println!("{threads} threads: {name:3} scan {:.2} GB/s, ratio {ratio}", speed(side));
        }
    }
}

/// The ten best of many rows for many tokens at once, beside large products in as many threads, in turn.
fn products() {
    let rows = store(PRODUCT_ROWS * DIM * 4);
    let halves: Vec<f16> = rows.iter().map(|&v| f16::from_f32(v)).collect();
    let bytes: Vec<i8> = rows.iter().map(|&v| (v * 100.0) as i8).collect();
    let scales = vec![0.01f32; PRODUCT_ROWS];
    let kinds = [("f32", Rows::F32(&rows)), ("f16", Rows::F16(&halves)), ("i8", Rows::I8(&bytes, &scales))];
    let large = ndarray::Array2::from_shape_vec((LARGE, LARGE), store(LARGE * LARGE * 4)).unwrap();
    let mut threads = vec![1, ratio::all_threads()];
    threads.dedup();
    for (tokens, threads) in
        TOKENS.into_iter().flat_map(|tokens| threads.iter().map(move |&threads| (tokens, threads)))
    {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let queries = store(tokens * DIM * 4);
        let peak = || {
            pool.install(|| {
                (0..threads).into_par_iter().for_each(|_| drop(divan::black_box(large.dot(&large))))
            })
        };
        let mut sides: Vec<Box<dyn FnMut() -> Duration>> = vec![Box::new(|| ratio::timed(peak))];
        for (_, rows) in kinds {
            let index = ExactIndex { vectors: vectors(rows) };
            let (pool, queries) = (&pool, &queries);
            let many = move || pool.install(|| index.search_many(queries, NEIGHBOURS, DEFAULT_EF));
            sides.push(Box::new(move || ratio::timed(many)));
        }
        let mut sides: Vec<&mut dyn FnMut() -> Duration> =
            sides.iter_mut().map(|side| side as &mut dyn FnMut() -> Duration).collect();
        let seconds = ratio::interleaved(ROUNDS, &mut sides);
        let peak = (threads * LARGE * LARGE * LARGE) as f64 / seconds[0];
        println!("{threads} threads: product of {LARGE} x {LARGE} {:.1} G multiply-adds/s", peak / 1e9);
        for ((name, _), &side) in kinds.iter().zip(&seconds[1..]) {
            let speed = (tokens * PRODUCT_ROWS * DIM) as f64 / side;
            let ratio = ratio::against_bar(speed / peak, PRODUCT_BAR);
            println!(
                "{threads} threads: {name:3} {tokens} tokens {:.1} G multiply-adds/s, ratio {ratio}",
                speed / 1e9
            );
        }
    }
}

/// All bytes added up as whole numbers, as fast as they come.
fn sum(bytes: &[u8]) -> u64 {
    bytes.par_chunks(READ_BYTES).map(sum_part).reduce(|| 0, u64::wrapping_add)
}

#[cfg(target_arch = "x86_64")]
fn sum_part(bytes: &[u8]) -> u64 {
    #[target_feature(enable = "avx2")]
    fn wide(bytes: &[u8]) -> u64 {
        sum_lanes(bytes)
    }
    match is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU was just found to have the feature.
        true => unsafe { wide(bytes) },
        false => sum_lanes(bytes),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn sum_part(bytes: &[u8]) -> u64 {
    sum_lanes(bytes)
}

/// Eight accumulators of a vector register each.
#[inline(always)]
fn sum_lanes(bytes: &[u8]) -> u64 {
    let words: &[u64] = bytemuck::cast_slice(bytes);
    let (blocks, rest) = words.as_chunks::<32>();
    let mut sums = [0u64; 32];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |total, word| total.wrapping_add(*word))
}

/// Items are multiply-adds.
#[divan::bench(args = [("f32", 16), ("f32", 256), ("f16", 16), ("f16", 256), ("i8", 16), ("i8", 256)])]
fn tokens_times_patches_of_a_view(bencher: Bencher<'_, '_>, (kind, tokens): (&str, usize)) {
    let store = store(PATCHES * DIM * 4);
    let scales = vec![0.01f32; PATCHES];
    let rows = match kind {
        "f16" => Rows::F16(bytemuck::cast_slice::<f32, f16>(&store)),
        "i8" => Rows::I8(bytemuck::cast_slice(&store), &scales),
        _ => Rows::F32(&store),
    };
    let tokens = query().repeat(tokens);
    bencher
        .counter(ItemsCount::new(tokens.len() * PATCHES))
        .bench_local(|| similarities(divan::black_box(&tokens), vectors(rows), 0, PATCHES));
}
