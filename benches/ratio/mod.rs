//! Several things timed in turn in one run, so that whatever else the machine does meets all of them, and the ratio of
//! their medians against a bar.

use std::time::{Duration, Instant};

/// Median seconds of each of `sides`, run one after the other, `rounds` times over. A first round that does not count
/// fills caches and wakes threads.
pub fn interleaved(rounds: usize, sides: &mut [&mut dyn FnMut() -> Duration]) -> Vec<f64> {
    sides.iter_mut().for_each(|side| {
        side();
    });
    let mut seconds = vec![Vec::with_capacity(rounds); sides.len()];
    for _ in 0..rounds {
        for (side, seconds) in sides.iter_mut().zip(&mut seconds) {
            seconds.push(side().as_secs_f64());
        }
    }
    seconds.into_iter().map(median).collect()
}

/// How long `work` takes.
pub fn timed<R>(work: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}

/// `0.93 (bar 0.80)`, with a note where the bar is missed.
pub fn against_bar(ratio: f64, bar: f64) -> String {
    format!("{ratio:.2} (bar {bar:.2}{})", if ratio < bar { ", MISSED" } else { "" })
}

/// Threads that this machine runs at once.
pub fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether this is `cargo bench`; `cargo test --all-targets` only sees whether benches start.
pub fn is_bench() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The value in the middle, or the mean of the two there.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}
