//! Graphs as wholes: the same bytes everywhere, nothing lost, nothing believed of a file.

use std::ops::ControlFlow;

use patchdex_format::{ContainerWriter, Element, Layout};
use proptest::prelude::*;

use super::connect::{connect, reach};
use super::points::Points;
use super::reduction::{Reduced, reduced_dim};
use super::search::NO_LINK;
use super::{BUILDERS, Graph, GraphBuilder, HnswIndex, HnswParameters, Twins};
use crate::index::{DEFAULT_EF, ExactIndex, Neighbour, PatchIndex, RowSet, Rows, Vectors};
use crate::metric::{METRICS, Metric};

const DIM: usize = 48;

/// The rows are of any length; but for the tests that say so, they are compared as if they were of one.
const METRIC: Metric = Metric::COSINE;

fn vectors(rows: &[f32]) -> Vectors<'_> {
    Vectors { rows: Rows::F32(rows), dim: DIM, metric: METRIC }
}

/// Vectors around some centres, in whole numbers divided by a power of two: the same on every machine.
fn clustered(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i32 % 256 - 128
    };
    let centres: Vec<i32> = (0..20 * DIM).map(|_| next()).collect();
    (0..count)
        .flat_map(|row| {
            let centre = &centres[row % 20 * DIM..][..DIM];
            centre.iter().map(|&v| (v * 2 + next()) as f32 / 512.0).collect::<Vec<_>>()
        })
        .collect()
}

fn build(rows: &[f32]) -> Graph<'static> {
    build_by(BUILDERS[0], rows)
}

fn build_by(builder: GraphBuilder, rows: &[f32]) -> Graph<'static> {
    build_with(rows, &HnswParameters { builder, ..HnswParameters::default() })
}

fn build_with(rows: &[f32], parameters: &HnswParameters) -> Graph<'static> {
    Graph::build(vectors(rows), parameters)
}

fn file(graph: &Graph<'_>) -> Vec<u8> {
    let mut writer = ContainerWriter::new(Vec::new(), "graph", "test").unwrap();
    graph.write(&mut writer).unwrap();
    writer.finish().unwrap()
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

#[test]
fn a_graph_has_the_same_bytes_for_any_number_of_threads_on_any_machine() {
    let rows = clustered(3000, 1);
    let digest = |builder, threads| {
        let bytes = with_threads(threads, || file(&build_by(builder, &rows)));
        Layout::parse(&bytes, "graph").unwrap().digest()
    };
    let golden = [
        ("batch", "b429a8861a5909e6107029be6a15727535f398193312c53bf6955665e1711270"),
        ("hnsw_rs", "2119f0c5637d11b5b390ba277f1fcd8d31e3a3adeabd8008b2bbdb9c2dbe58af"),
    ];
    for &builder in BUILDERS {
        let (_, golden) = golden.iter().find(|(name, _)| *name == builder.name).unwrap();
        for threads in [1, 1, 2, 8] {
            assert_eq!(digest(builder, threads), *golden, "{}, {threads} threads", builder.name);
        }
    }
}

#[test]
fn every_builder_tells_how_far_it_is_and_stops_when_it_is_told_to() {
    let rows = clustered(3000, 1);
    for &builder in BUILDERS {
        let parameters = HnswParameters { builder, ..HnswParameters::default() };
        let mut heard = Vec::new();
        let mut build = |most: usize| {
            Graph::build_telling(vectors(&rows), &parameters, None, &mut |nodes| {
                heard.push(nodes);
                if nodes < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
        };
        assert!(build(1000).is_none(), "{}", builder.name);
        assert!(build(3001) == Some(build_with(&rows, &parameters)), "{}", builder.name);
        assert_eq!(heard.last(), Some(&3000), "{}", builder.name);
    }
}

#[test]
fn a_graph_reads_back_in_place() {
    let rows = clustered(500, 2);
    let graph = build(&rows);
    let bytes = file(&graph);
    let layout = Layout::parse(&bytes, "graph").unwrap();
    assert_eq!(Graph::parse(&layout, &bytes, DIM, METRIC).unwrap(), graph);
    assert!(Graph::parse(&layout, &bytes, DIM + 1, METRIC).is_err(), "it is of other vectors");
}

#[test]
fn every_builder_finds_the_neighbours_of_new_vectors() {
    let (rows, queries) = (clustered(4000, 3), clustered(100, 4));
    let vectors = vectors(&rows);
    let truth = ExactIndex { vectors }.search_many(&queries, 10, DEFAULT_EF);
    for &builder in BUILDERS {
        let index = HnswIndex { graph: build_by(builder, &rows), vectors };
        let found = index.search_many(&queries, 10, 100);
        let right =
            found.iter().zip(&truth).map(|(found, truth)| found.iter().filter(|f| truth.contains(f)).count());
        let recall = right.sum::<usize>() as f64 / 1000.0;
        assert!(recall >= 0.95, "{}: {recall}", builder.name);
        let proof = index.prove();
        assert_eq!((proof.reached, proof.self_recall), (4000, 1.0), "{}", builder.name);
        assert!(proof.recall.is_sorted() && proof.recall[7].1 >= 0.999, "{}: {proof:?}", builder.name);
    }
}

#[test]
fn every_builder_takes_few_vectors_and_equal_ones() {
    let clusters = clustered(40, 9);
    let cases = [&clusters[..DIM], &clusters[..2 * DIM], &clusters, &[0.25; 40 * DIM]];
    for &builder in BUILDERS {
        for rows in cases {
            let vectors = vectors(rows);
            let index = HnswIndex { graph: build_by(builder, rows), vectors };
            assert_eq!(index.prove().reached, rows.len() / DIM, "{}", builder.name);
            let own = index.search(&rows[..DIM], 1, 40);
            assert_eq!(own.first().map(|found| found.row), Some(0), "{}", builder.name);
        }
    }
}

#[test]
fn a_builder_that_is_not_there_says_why() {
    let error = |name| GraphBuilder::named(name).unwrap_err().to_string();
    assert_eq!(error("brick").split(", ").next(), Some("it is unknown to this patchdex"));
    if !BUILDERS.iter().any(|builder| builder.name == "hnsw_rs") {
        assert!(error("hnsw_rs").ends_with("build one with 'cargo build --release --features hnsw-rs'"));
    }
}

#[test]
fn what_no_list_leads_to_is_connected() {
    let rows = clustered(400, 5);
    let codebook = super::codes::Codebook::fit(Reduced::of(vectors(&rows)));
    let codes = codebook.encode(Reduced::of(vectors(&rows)), &(0..400).collect::<Vec<_>>());
    let points = Points::new(&codes, codebook.code_dim());
    let parameters = HnswParameters { m: 2, ..HnswParameters::default() };
    let mut layers =
        (parameters.builder.build)(&points, &parameters, &mut |_| ControlFlow::Continue(())).unwrap();
    // Nobody leads to every third node.
    let lost = |link: &u32| *link != NO_LINK && *link > 0 && link.is_multiple_of(3);
    for list in layers.links[0].chunks_exact_mut(layers.degree) {
        let kept: Vec<u32> = list.iter().copied().filter(|link| !lost(link)).collect();
        list.fill(NO_LINK);
        list[..kept.len()].copy_from_slice(&kept);
    }
    assert!(connect(&points, &mut layers, 50) >= 133);
    let mut reached = vec![false; 400];
    reach(&layers.links[0], layers.degree, &mut reached, 0);
    assert!(reached.iter().all(|&reached| reached));
}

#[test]
fn many_equal_rows_are_all_near_the_entry_and_found() {
    let random = clustered(5100, 8);
    let (random, queries) = random.split_at(5000 * DIM);
    let equal = clustered(1, 9);
    let rows: Vec<f32> =
        random.chunks_exact(DIM).flat_map(|row| [row, equal.as_slice()]).flatten().copied().collect();
    let vectors = vectors(&rows);
    let index = HnswIndex { graph: build(&rows), vectors };
    let graph = &index.graph;
    assert_eq!(index.prove().reached, 10_000);
    // Layer by layer from the first node: a chain of equal ones would be thousands of steps long.
    let mut seen = vec![false; graph.len()];
    let (mut layer, mut steps) = (vec![0u32], 0);
    seen[0] = true;
    while !layer.is_empty() {
        let links =
            layer.iter().flat_map(|&node| &graph.links[node as usize * graph.degree..][..graph.degree]);
        let fresh =
            links.filter(|&&link| link != NO_LINK && !std::mem::replace(&mut seen[link as usize], true));
        layer = fresh.copied().collect();
        steps += 1;
    }
    assert!(steps < 30, "{steps} steps");
    let found = index.search(&equal, 50, 64);
    let own = ExactIndex { vectors }.search(&equal, 1, DEFAULT_EF)[0].similarity;
    assert!(found.len() == 50 && found.iter().all(|found| found.similarity == own), "{found:?}");
    // What is nearer to a query than they are is found as ever.
    let truth = ExactIndex { vectors }.search_many(queries, 10, DEFAULT_EF);
    let found = index.search_many(queries, 10, 100);
    let near = |(found, truth): (&Vec<Neighbour>, &Vec<Neighbour>)| {
        found.iter().filter(|found| found.similarity >= truth[9].similarity).count()
    };
    let right: usize = found.iter().zip(&truth).map(near).sum();
    assert!(right >= 950, "{right} of 1000");
}

/// Vectors of different lengths that do not lie around the origin.
fn of_any_length(count: usize, seed: u32) -> Vec<f32> {
    let mut rows = clustered(count, seed);
    for (at, row) in rows.chunks_exact_mut(DIM).enumerate() {
        let length = 1.0 + (at % 7) as f32 / 16.0;
        row.iter_mut().for_each(|v| *v = *v * length + 0.25);
    }
    rows
}

#[test]
fn graphs_serve_every_metric() {
    let (rows, mut queries) = (of_any_length(4000, 3), of_any_length(100, 4));
    // A query may be far from all vectors.
    queries.extend([1e3; DIM].into_iter().chain([-1e6; DIM]).chain([1e-6; DIM]));
    let mut digests = Vec::new();
    for metric in METRICS {
        let (mut rows, mut queries) = (rows.clone(), queries.clone());
        metric.prepare(&mut rows, DIM);
        metric.prepare(&mut queries, DIM);
        let vectors = Vectors { metric, ..vectors(&rows) };
        let graph = Graph::build(vectors, &HnswParameters::default());
        let bytes = file(&graph);
        let layout = Layout::parse(&bytes, "graph").unwrap();
        assert_eq!(Graph::parse(&layout, &bytes, DIM, metric).unwrap(), graph, "{}", metric.name);
        let index = HnswIndex { graph, vectors };
        let truth = ExactIndex { vectors }.search_many(&queries, 10, DEFAULT_EF);
        let found = index.search_many(&queries, 10, 100);
        let near = |(found, truth): (&Vec<Neighbour>, &Vec<Neighbour>)| {
            found.iter().filter(|found| found.similarity >= truth[9].similarity).count()
        };
        let right: Vec<usize> = found.iter().zip(&truth).map(near).collect();
        // Vectors of the greatest product may lie far from a query and from each other: walks miss more of them.
        let least = if metric == Metric::DOT { 850 } else { 950 };
        assert!(right[..100].iter().sum::<usize>() >= least, "{}: {right:?}", metric.name);
        assert!(right[100..].iter().sum::<usize>() >= 25, "{}: {right:?}", metric.name);
        let proof = index.prove();
        assert_eq!((proof.reached, proof.self_recall), (4000, 1.0), "{}", metric.name);
        assert!(proof.ceiling >= 0.99, "{}: {proof:?}", metric.name);
        digests.push((metric.name, layout.digest()));
    }
    let golden = [
        ("cosine", "948e0ee8b8cb4b44399af0fbf876d018e3cdd19cb7744fbfacb329b390723c24"),
        ("dot", "6cd07abcced62dc387fcb6f61654451d514ce155948317004e1bfae82cfb92dc"),
        ("l2", "d2253017773c2bd137b46760f095b798dbe5fa0aa811e7e0f81ce6baf5540d5b"),
    ];
    assert_eq!(digests, golden.map(|(name, digest)| (name, digest.to_owned())));
}

#[test]
fn only_rows_in_scope_are_found() {
    let rows = clustered(2000, 6);
    let vectors = vectors(&rows);
    let index = HnswIndex { graph: build(&rows), vectors };
    let scope = 300..340;
    let allowed = RowSet::of(std::slice::from_ref(&scope));
    for query in clustered(20, 7).chunks_exact(DIM) {
        let found = index.search_among(query, 10, 40, Some(&allowed));
        let exact = ExactIndex { vectors }.search_rows(query, std::slice::from_ref(&scope), 10);
        assert_eq!(found, exact[0], "forty rows, forty in view");
    }
}

#[test]
fn nothing_is_found_in_nothing() {
    for &builder in BUILDERS {
        let graph = build_by(builder, &[]);
        assert!(graph.is_empty());
        let index = HnswIndex { graph, vectors: vectors(&[]) };
        assert_eq!(index.search(&[0.5; DIM], 3, DEFAULT_EF), []);
        assert_eq!(index.prove().reached, 0);
    }
}

#[test]
fn sizes_of_layers_that_no_graph_has_are_refused() {
    let graph = build(&clustered(500, 11));
    let forged = |layer_sizes: &[u32]| {
        let graph = Graph { layer_sizes: layer_sizes.to_vec().into(), ..graph.clone() };
        let bytes = file(&graph);
        Graph::parse(&Layout::parse(&bytes, "graph").unwrap(), &bytes, DIM, METRIC).is_ok()
    };
    assert!(forged(&graph.layer_sizes));
    let (most, held) = (u32::MAX, graph.layer_sizes[0]);
    for sizes in
        [&[most][..], &[most, 2], &[held, most - held + 1, held], &[most; 32], &[held; 33], &[held, 0], &[]]
    {
        assert!(!forged(sizes), "{sizes:?}");
    }
}

proptest! {
    #[test]
    fn sections_of_anything_are_refused_or_searched(
        links in proptest::collection::vec(any::<u32>(), 0..128),
        small in proptest::collection::vec(0u32..70, 6),
        rows in proptest::collection::vec(0u32..9, 0..5),
        cols in 1u32..5,
        metric in proptest::sample::select(&METRICS[..]),
    ) {
        let mut writer = ContainerWriter::new(Vec::new(), "graph", "forger").unwrap();
        let whole = links.len() / cols as usize * cols as usize;
        let nodes = small[0] as usize % 5;
        let dim = reduced_dim(metric, 4);
        writer.section("mean", Element::F32, dim as u32, &vec![0.0f32; dim]).unwrap();
        writer.section("scale", Element::F32, 1, &[f32::NAN]).unwrap();
        writer.section("codes", Element::I8, 64, &vec![-128i8; nodes * 64]).unwrap();
        writer.section("rows", Element::U32, 1, &rows).unwrap();
        writer.section("links", Element::U32, cols, &links[..whole.min(nodes * cols as usize)]).unwrap();
        writer.section("entries", Element::U32, 1, &small[1..3]).unwrap();
        writer.section("entry_codes", Element::I8, 64, &[127i8; 128]).unwrap();
        writer.section("lengths", Element::U32, 1, &links.iter().copied().cycle().take(nodes).collect::<Vec<u32>>()).unwrap();
        writer.section("entry_lengths", Element::U32, 1, &[u32::MAX, 5]).unwrap();
        writer.section("layer_sizes", Element::U32, 1, &[small[3] % 4]).unwrap();
        writer.section("entry_links", Element::U32, cols, &links[..whole.min((small[3] % 4 * cols) as usize)]).unwrap();
        let bytes = writer.finish().unwrap();
        let layout = Layout::parse(&bytes, "graph").unwrap();
        if let Ok(graph) = Graph::parse(&layout, &bytes, 4, metric) {
            let stored = [1.0f32; 16];
            let index = HnswIndex { graph, vectors: Vectors { rows: Rows::F32(&stored), dim: 4, metric } };
            let found = index.search(&[1.0, -1.0, 0.5, 2.0], 3, DEFAULT_EF);
            prop_assert!(found.iter().all(|found| found.row < 4));
            let allowed = RowSet::of(std::slice::from_ref(&(0..2)));
            index.search_among(&[1.0, -1.0, 0.5, 2.0], 3, DEFAULT_EF, Some(&allowed));
            index.prove();
        }
    }
}

#[test]
fn as_many_are_found_as_are_asked_for_with_any_effort() {
    let (rows, queries) = (clustered(2000, 21), clustered(40, 22));
    for &builder in BUILDERS {
        let index = HnswIndex { graph: build_by(builder, &rows), vectors: vectors(&rows) };
        for (ef, k) in [(1, 1), (1, 10), (5, 10), (1, 300), (50, 2000)] {
            let found = index.search_many(&queries, k, ef);
            assert!(found.iter().all(|found| found.len() == k), "{}: ef {ef}, k {k}", builder.name);
        }
    }
}

#[test]
fn twins_of_an_image_share_a_node_and_those_of_two_do_not() {
    let mut singles = clustered(150, 23);
    for row in singles.chunks_exact_mut(DIM) {
        let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        row.iter_mut().for_each(|v| *v /= length);
    }
    let nearly = |rows: &[f32]| rows.iter().map(|v| v + 1e-4).collect::<Vec<_>>();
    let twins = nearly(&singles);
    // The last ten are of no image, as those of one that was taken out.
    let rows = [&singles, &twins, &singles, &twins[..10 * DIM]].concat();
    let images: [Vec<u32>; 3] = [(0..300).collect(), (300..450).collect(), vec![]];
    let twins = Twins { least_cosine: 0.99, images: &images };
    for &builder in BUILDERS {
        let parameters = HnswParameters { builder, ..HnswParameters::default() };
        let go_on = |_| ControlFlow::Continue(());
        let build =
            || Graph::build_telling(vectors(&rows), &parameters, Some(twins), &mut { go_on }).unwrap();
        let graph = with_threads(1, build);
        let mut held = graph.rows.to_vec();
        held.sort_unstable();
        assert!(held.into_iter().eq((0..150).chain(300..450)), "{}", builder.name);
        assert!(with_threads(3, build) == graph, "{}", builder.name);
        let index = HnswIndex { graph, vectors: vectors(&rows) };
        let proof = index.prove();
        assert_eq!((proof.reached, proof.self_recall), (300, 1.0), "{}", builder.name);
        assert!(proof.recall[7].1 >= 0.999, "{}: {proof:?}", builder.name);
        for (row, query) in (0..).zip(nearly(&singles).chunks_exact(DIM)) {
            let found: Vec<u64> = index.search(query, 2, 50).iter().map(|found| found.row).collect();
            assert_eq!(found, [row, row + 300], "{}", builder.name);
        }
    }
}
