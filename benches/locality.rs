//! What the order of a graph's nodes is worth where its file is not in the page cache: pages that a query reads, and how
//! long it waits for them, breadth first beside the order of insertion. Linux only.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench is a program that prints its figures and stops at the first surprise"
)]

#[allow(dead_code, reason = "it times nothing in turn")]
mod ratio;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::f16;
use half::slice::HalfFloatSliceExt;
use patchdex::exchange::VectorFile;
use patchdex::index::{DEFAULT_EF, Graph, HnswIndex, HnswParameters, PatchIndex, Rows, Vectors};
use patchdex::metric::METRICS;
use patchdex::segment::write_container;
use patchdex::storage::{Map, cached_pages, forget};
use patchdex_format::{ContainerWriter, Layout};

const QUERIES: usize = 100;
const NEIGHBOURS: usize = 10;

fn main() {
    let files: Vec<PathBuf> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).map(PathBuf::from).collect();
    match (&files[..], ratio::is_bench()) {
        ([base, queries], true) => compare(base, queries),
        (_, true) => println!("give two files of vectors: cargo bench --bench locality -- BASE QUERIES"),
        _ => {}
    }
}

/// Rows of a file, of unit length.
fn rows(path: &Path) -> (Vec<f32>, usize) {
    let file = VectorFile::open(path).unwrap();
    let mut rows = vec![0.0; file.rows() * file.dim()];
    file.read(0, &mut rows).unwrap();
    METRICS[0].prepare(&mut rows, file.dim());
    (rows, file.dim())
}

fn compare(base: &Path, queries: &Path) {
    let ((base, dim), (queries, _)) = (rows(base), rows(queries));
    let mut halves = vec![f16::ZERO; base.len()];
    halves.convert_from_f32_slice(&base);
    let vectors = Vectors { rows: Rows::F16(&halves), dim, metric: METRICS[0] };
    let queries = &queries[..QUERIES * dim];
    // Beside the binaries: a temporary folder may lie in memory only.
    let folder = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
    let parameters = HnswParameters::default();
    println!("{} vectors, {QUERIES} queries, ef {DEFAULT_EF}, file not in the page cache", vectors.len());
    for (name, graph) in [
        ("breadth first", Graph::build(vectors, &parameters)),
        ("as inserted", Graph::build_as_inserted(vectors, &parameters)),
    ] {
        let file = folder.path().join(name);
        write_container(&file, |file| {
            let mut writer = ContainerWriter::new(file, Graph::KIND, "bench")?;
            graph.write(&mut writer)?;
            writer.finish().map(|_| ())
        })
        .unwrap();
        drop(graph);
        // Without reading ahead, what is cached is what was asked for.
        let pages = |queries: &[f32]| asked(&file, vectors, queries, dim, true).0 as f64;
        let each: Vec<f64> = queries.chunks(dim).map(pages).collect();
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        let wait = |is_alone| {
            ratio::median(
                queries.chunks(dim).map(|query| asked(&file, vectors, query, dim, is_alone).1).collect(),
            )
        };
        let (alone, ahead) = (wait(true), wait(false));
        println!(
            "{name:<14} pages a query {mean:.0}, all queries {}; median {alone:.2} ms page by page, {ahead:.2} ms reading ahead",
            pages(queries)
        );
    }
}

/// Pages of the graph's file that are cached after `queries`, and the milliseconds from its name to the last answer, where
/// nothing was cached before. `is_alone`: whether pages come one by one.
fn asked(file: &Path, vectors: Vectors<'_>, queries: &[f32], dim: usize, is_alone: bool) -> (usize, f64) {
    assert!(forget(file).unwrap(), "this system or this folder's file system keeps files in memory");
    let start = Instant::now();
    let map = Map::open(file).unwrap();
    if is_alone {
        map.advise_random();
    }
    let graph = Graph::parse(&Layout::parse(&map, Graph::KIND).unwrap(), &map, dim, vectors.metric).unwrap();
    let index = HnswIndex { graph, vectors };
    for query in queries.chunks(dim) {
        black_box(index.search(query, NEIGHBOURS, DEFAULT_EF));
    }
    let took_ms = start.elapsed().as_secs_f64() * 1e3;
    (cached_pages(&map).unwrap(), took_ms)
}
