//! The crate `hnsw_rs` as `tools/peers` measures it: `hnsw_rs_peer PLAN.json` builds its graph over vectors in single
//! precision, asks with rising effort, saves and opens it. Figures go to standard output, what was found into the file
//! that the plan names.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "an example makes its own files and prints its figures"
)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hnsw_rs::hnswio::HnswIo;
use hnsw_rs::prelude::{AnnT, DistDot, Hnsw, Neighbour};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Deserialize;
use serde_json::json;

/// Levels that the crate may draw.
const LEVELS: usize = 16;
const WARM_UP_QUERIES: usize = 16;
/// What takes less is timed badly.
const LEAST_S: f64 = 0.1;
const OPENINGS: usize = 3;

/// What to do; the rows of the files are `dim` numbers of 32 bits each.
#[derive(Deserialize)]
struct Plan {
    base: PathBuf,
    queries: PathBuf,
    /// Gets efs × queries × k rows, whole numbers of 32 bits.
    found: PathBuf,
    /// Gets the saved graph.
    folder: PathBuf,
    dim: usize,
    m: usize,
    ef_construction: usize,
    k: usize,
    efs: Vec<usize>,
    threads: Vec<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("give the plan: hnsw_rs_peer PLAN.json")?;
    let plan: Plan = serde_json::from_slice(&fs::read(file)?)?;
    let base = vectors(&plan.base, plan.dim)?;
    let queries = vectors(&plan.queries, plan.dim)?;
    let builders = pool(plan.threads.iter().copied().max().unwrap_or(1))?;
    let start = Instant::now();
    let graph = Hnsw::new(plan.m, base.len(), LEVELS, plan.ef_construction, DistDot);
    let numbered: Vec<(&[f32], usize)> = base.iter().map(Vec::as_slice).zip(0..).collect();
    builders.install(|| graph.parallel_insert_slice(&numbered));
    let build_s = start.elapsed().as_secs_f64();
    drop(numbered);
    drop(base);
    let (mut points, mut found) = (Vec::new(), Vec::new());
    for &ef in &plan.efs {
        let mut answers = Vec::new();
        for &threads in &plan.threads {
            let pool = pool(threads)?;
            let ask = |queries: &[Vec<f32>]| ask(&graph, queries, plan.k, ef, threads, &pool);
            ask(&queries[..queries.len().min(WARM_UP_QUERIES)]);
            let (start, mut passes) = (Instant::now(), 0);
            while passes == 0 || start.elapsed().as_secs_f64() < LEAST_S {
                answers = ask(&queries);
                passes += 1;
            }
            let qps = (passes * queries.len()) as f64 / start.elapsed().as_secs_f64();
            points.push(json!({"ef": ef, "threads": threads, "qps": qps}));
        }
        for answer in &answers {
            // A search may find fewer than it was asked for.
            let rows = answer.iter().map(|found| found.d_id as u32).chain(std::iter::repeat(u32::MAX));
            found.extend(rows.take(plan.k).flat_map(u32::to_le_bytes));
        }
    }
    fs::write(&plan.found, found)?;
    let name = graph.file_dump(&plan.folder, "graph")?;
    let files = ["graph", "data"].map(|part| plan.folder.join(format!("{name}.hnsw.{part}")));
    let bytes =
        files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum::<Result<u64, std::io::Error>>()?;
    let opened = (0..OPENINGS).map(|_| open_ms(&plan, &name, &queries[0]));
    let open_ms = opened.collect::<Result<Vec<_>, _>>()?.into_iter().fold(f64::INFINITY, f64::min);
    println!("{}", json!({"build_s": build_s, "bytes": bytes, "open_ms": open_ms, "points": points}));
    Ok(())
}

fn pool(threads: usize) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads).build()
}

fn vectors(path: &Path, dim: usize) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let numbers: Vec<f32> = bytemuck::pod_collect_to_vec(&fs::read(path)?);
    Ok(numbers.chunks_exact(dim).map(|row| row.to_vec()).collect())
}

/// Neighbours of each query: one thread asks query after query, more ask all together.
fn ask(
    graph: &Hnsw<'_, f32, DistDot>,
    queries: &[Vec<f32>],
    k: usize,
    ef: usize,
    threads: usize,
    pool: &ThreadPool,
) -> Vec<Vec<Neighbour>> {
    match threads {
        1 => queries.iter().map(|query| graph.search(query, k, ef)).collect(),
        _ => pool.install(|| graph.parallel_search(queries, k, ef)),
    }
}

/// Milliseconds from the files to the first answer.
fn open_ms(plan: &Plan, name: &str, query: &[f32]) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    let mut file = HnswIo::new(&plan.folder, name);
    let graph = file.load_hnsw::<f32, DistDot>()?;
    graph.search(query, plan.k, plan.k);
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
