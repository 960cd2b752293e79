//! `patchdex query --vectors`: the nearest stored vectors of made-up rows and of photographs, in each form of output.

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::process::Command;

use patchdex::storage::Residency;
use patchdex_format::Manifest;

use crate::workspace::{Run, Workspace, box_of, keys, manifest, patches_of, rows_of, write_rows};

#[test]
fn the_nearest_are_those_of_a_plain_sum_of_products_whatever_the_threads() {
    let work = Workspace::new();
    let (dim, count) = (6, 5000);
    let number = |at: usize| f32::from((at * 2_654_435_761 % 4093 % 17) as u8) - 8.0;
    let base: Vec<f32> = (0..count * dim).map(number).collect();
    let queries: Vec<f32> = (0..300 * dim).map(|at| number(at * 7 + 5)).collect();
    write_rows(&work.at("base.fvecs"), &base, dim);
    write_rows(&work.at("queries.fvecs"), &queries, dim);
    work.run(["import", "base.fvecs", "--out", "c", "--metric", "dot", "--index", "exact"]).done();
    let ask = ["query", "c", "--vectors", "queries.fvecs", "--top", "7"];
    let answer = work.run([&ask[..], &["--json"]].concat()).done().json();
    assert_eq!(keys(&answer), ["dim", "plan", "queries", "results"]);
    assert_eq!(answer["plan"][0]["index"], "exact");
    assert_eq!((&answer["dim"], &answer["queries"]), (&dim.into(), &300.into()));
    for (query, found) in queries.chunks(dim).zip(answer["results"].as_array().unwrap()) {
        // Whole numbers: sums in any order are the same.
        let product = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        let mut all: Vec<(f32, usize)> = base.chunks(dim).map(product).zip(0..).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = found.as_array().unwrap();
        assert_eq!(keys(&found[0]), ["box", "id", "image", "row", "similarity"]);
        let found: Vec<(f32, usize)> = found
            .iter()
            .map(|found| {
                (found["similarity"].as_f64().unwrap() as f32, found["row"].as_u64().unwrap() as usize)
            })
            .collect();
        assert_eq!(found, all[..7]);
    }
    for threads in ["1", "3"] {
        let other = work.run([&ask[..], &["--json", "--threads", threads]].concat()).done().json();
        assert!(other == answer, "{threads} threads");
    }
    let lines = work.run([&ask[..], &["--jsonl"]].concat()).done().stdout;
    for (at, line) in lines.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["query"], at);
        assert!(line["results"] == answer["results"][at]);
    }
    let table = work.run(ask).done().stdout;
    assert_eq!(table.lines().count(), 1 + 300 * 7);
    assert!(table.lines().nth(1).unwrap().ends_with("  base.fvecs"), "{table:.200}");
}

#[test]
fn all_within_a_similarity_are_found_by_every_metric_and_graphs_serve_them() {
    let work = Workspace::new();
    let (dim, count) = (8, 6000);
    let number = |at: usize| f32::from((at * 2_654_435_761 % 4093 % 19) as u8) - 9.0;
    let base: Vec<f32> = (0..count * dim).map(number).collect();
    let queries: Vec<f32> = (0..20 * dim).map(|at| number(at * 7 + 5)).collect();
    write_rows(&work.at("base.fvecs"), &base, dim);
    write_rows(&work.at("queries.fvecs"), &queries, dim);
    for metric in ["dot", "l2"] {
        work.run(["import", "base.fvecs", "--out", metric, "--metric", metric]).done();
        let ask = ["query", metric, "--vectors", "queries.fvecs", "--json"];
        let similarity = |row: &[f32], query: &[f32]| -> f32 {
            let pairs = row.iter().zip(query);
            match metric {
                "dot" => pairs.map(|(a, b)| a * b).sum(),
                _ => -pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>(),
            }
        };
        // As near as the 25th of the first query.
        let mut first: Vec<f32> = base.chunks(dim).map(|row| similarity(row, &queries[..dim])).collect();
        first.sort_by(|a, b| b.total_cmp(a));
        let least = first[24].to_string();
        let least = least.as_str();
        let within = work.run([&ask[..], &["--min-similarity", least]].concat()).done().json();
        let mut total = 0;
        for (query, found) in queries.chunks(dim).zip(within["results"].as_array().unwrap()) {
            let mut all: Vec<(f32, usize)> =
                base.chunks(dim).map(|row| similarity(row, query)).zip(0..).collect();
            all.retain(|found| found.0 >= least.parse().unwrap());
            all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let found: Vec<(f32, usize)> = found
                .as_array()
                .unwrap()
                .iter()
                .map(|found| {
                    (found["similarity"].as_f64().unwrap() as f32, found["row"].as_u64().unwrap() as usize)
                })
                .collect();
            assert_eq!(found, all, "{metric}");
            total += all.len();
        }
        assert!((25..5000).contains(&total), "{metric}: {total}");
        let two = work.run([&ask[..], &["--min-similarity", least, "--top", "2"]].concat()).done().json();
        assert!(two["results"].as_array().unwrap().iter().all(|found| found.as_array().unwrap().len() <= 2));

        let walked = work.run([&ask[..], &["--ef", "400"]].concat()).done().json();
        assert_eq!(walked["plan"][0]["index"], "hnsw", "{metric}");
        let exact = work.run([&ask[..], &["--exact"]].concat()).done().json();
        let similarities = |answer: &serde_json::Value| -> Vec<f64> {
            let found =
                answer["results"].as_array().unwrap().iter().flat_map(|found| found.as_array().unwrap());
            found.map(|found| found["similarity"].as_f64().unwrap()).collect()
        };
        let (walked, exact) = (similarities(&walked), similarities(&exact));
        let right = walked.iter().zip(&exact).filter(|(walked, exact)| walked == exact).count();
        assert!(right >= 190, "{metric}: {right} of {}", exact.len());
    }
    let ask = ["query", "l2", "--vectors", "queries.fvecs"];
    work.run([&ask[..], &["--min-similarity", "near"]].concat()).refused(2, &["--min-similarity", "0.8"]);
    work.run([&ask[..], &["--min-similarity", "0", "--ef", "9"]].concat()).refused(2, &["--ef"]);
}

/// A collection of 6,000 made-up rows of 8 numbers with a graph, `c`, and 20 of the rows, `queries.npy`.
fn made_up() -> Workspace {
    let work = Workspace::new();
    let number = |at: usize| f32::from((at * 2_654_435_761 % 4093 % 19) as u8) - 9.0;
    let rows: Vec<f32> = (0..6000 * 8).map(number).collect();
    write_rows(&work.at("base.npy"), &rows, 8);
    write_rows(&work.at("queries.npy"), &rows[..20 * 8], 8);
    work.run(["import", "base.npy", "--out", "c"]).done();
    work
}

const ASK: [&str; 8] = ["query", "c", "--vectors", "queries.npy", "--ef", "40", "--json", "--residency"];

#[test]
fn every_residency_gives_the_same_answers() {
    let work = made_up();
    let answer = |residency: &str| work.run([&ASK[..], &[residency]].concat()).done().json();
    let mapped = work.run(&ASK[..7]).done().json();
    assert_eq!(mapped["plan"][0]["index"], "hnsw");
    for residency in Residency::ALL {
        assert!(answer(residency.name()) == mapped, "{}", residency.name());
    }
    work.run([&ASK[..], &["swapped"]].concat()).refused(2, &["swapped", "mapped, locked, copied"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_refusal_to_lock_is_an_error_and_says_what_to_allow() {
    let work = made_up();
    // Root may lock what it likes, unless that right is given up.
    let script = "ulimit -l 0; setpriv --bounding-set=-ipc_lock true 2>&- && exec setpriv --bounding-set=-ipc_lock \"$@\"; \
                  exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_patchdex");
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", program]).args(ASK).arg("locked").current_dir(work.at("."));
    let parts = ["cannot lock", "vectors.pdx", "'ulimit -l' must allow", "--residency mapped"];
    Run::of(&mut command).refused(1, &parts);
}

#[test]
fn a_patch_of_a_photograph_finds_its_own_box_and_a_condition_hides_it() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "coins.png", "moon.png"]);
    work.index("photos", "c", &["--prepare", "pca:16", "--keep-raw"]).done();
    work.run(["export", "c", "all.parquet"]).done();
    work.run(["export", "c", "prepared.npy"]).done();
    work.run(["export", "c", "tokens.npy", "--raw"]).done();
    let (patches, _) = patches_of(&work.at("all.parquet"));
    let boxes = patches.boxes.unwrap();
    // Rows of 384 numbers are tokens, those of 16 are prepared: no option tells.
    for file in ["tokens.npy", "prepared.npy"] {
        let answer = work.run(["query", "c", "--vectors", file, "--json", "--top", "1"]).done().json();
        for (row, found) in answer["results"].as_array().unwrap().iter().enumerate() {
            assert_eq!(
                (&found[0]["image"], &found[0]["row"]),
                (&patches.images[row].clone().into(), &row.into())
            );
            assert_eq!(box_of(&found[0]), boxes[row].into());
        }
    }
    let hidden = ["query", "c", "--vectors", "tokens.npy", "--json", "--where", "image != 'coffee.png'"];
    let answer = work.run(hidden).done().json();
    let found = answer["results"].as_array().unwrap().iter().flat_map(|found| found.as_array().unwrap());
    let images: BTreeSet<&str> = found.map(|found| found["image"].as_str().unwrap()).collect();
    assert_eq!(images.into_iter().collect::<Vec<_>>(), ["coins.png", "moon.png"]);

    work.run(["query", "c", "--vectors", "tokens.npy", "--prepared"])
        .refused(1, &["384", "prepared vectors of 16"]);
    write_rows(&work.at("odd.npy"), &rows_of(&work.at("tokens.npy")).0[..15], 5);
    work.run(["query", "c", "--vectors", "odd.npy"]).refused(1, &["5 numbers", "of 384 numbers", "of 16"]);
}

#[test]
fn what_rows_are_taken_for_is_said_where_their_length_does_not_tell() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "moon.png"]);
    work.index("photos", "c", &["--prepare", "whiten", "--keep-raw"]).done();
    work.run(["export", "c", "stored.npy"]).done();
    work.run(["export", "c", "raw.npy", "--raw"]).done();
    let ask = |file: &str, more: &[&str]| {
        work.run([&["query", "c", "--vectors", file, "--json", "--top", "1"], more].concat()).done()
    };
    let told = ask("stored.npy", &[]);
    assert!(
        told.stderr.contains("the model's own tokens") && told.stderr.contains("--prepared"),
        "{}",
        told.stderr
    );
    let (stored, raw) = (ask("stored.npy", &["--prepared"]), ask("raw.npy", &["--raw"]));
    assert_eq!((stored.stderr.as_str(), raw.stderr.as_str()), ("", ""));
    for answer in [stored.json(), raw.json()] {
        for (row, found) in answer["results"].as_array().unwrap().iter().enumerate() {
            assert_eq!(found[0]["row"], row);
        }
    }
    work.run(["query", "c", "--vectors", "raw.npy", "--raw", "--prepared"])
        .refused(2, &["--raw", "--prepared"]);
    // A preparation that changes nothing leaves nothing to say, and rows of another length are no tokens.
    work.index("photos", "none", &["--prepare", "none"]).done();
    assert_eq!(work.run(["query", "none", "--vectors", "raw.npy", "--jsonl"]).done().stderr, "");
    work.index("photos", "short", &["--prepare", "pca:16"]).done();
    work.run(["export", "short", "short.npy"]).done();
    work.run(["query", "short", "--vectors", "short.npy", "--raw"])
        .refused(1, &["16 numbers", "of 384 numbers"]);
}

#[test]
fn an_image_or_vectors_are_asked_and_never_both() {
    let work = Workspace::new();
    write_rows(&work.at("a.npy"), &[1.0, 2.0], 2);
    work.run(["import", "a.npy", "--out", "c"]).done();
    work.run(["query", "c"]).refused(2, &["IMAGE"]);
    work.run(["query", "c", "a.png", "--vectors", "a.npy"]).refused(2, &["--vectors"]);
    for more in [&["--box", "1,2,3,4"][..], &["--coco"], &["--html", "a.html"]] {
        let ask = [&["query", "c", "--vectors", "a.npy"], more].concat();
        work.run(ask).refused(2, &["--vectors", more[0]]);
    }
    work.run(["query", "c", "a.png", "--prepared"]).refused(2, &["--prepared"]);
    work.run(["query", "c", "--vectors", "gone.npy"]).refused(1, &["gone.npy"]);
    work.run(["query", "c", "--vectors", "a.parquet"]).refused(2, &["a.parquet", ".fvecs"]);
    let found = work.run(["query", "c", "--vectors", "a.npy", "--json"]).done().json();
    assert_eq!(found["results"][0].as_array().unwrap().len(), 1);
}

#[test]
fn graphs_find_what_is_nearest_among_all_and_among_some() {
    let work = Workspace::new();
    let (dim, count) = (24, 6000);
    let mut state = 7u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let base: Vec<f32> = (0..count * dim).map(|_| number()).collect();
    let queries: Vec<f32> = (0..50 * dim).map(|_| number()).collect();
    write_rows(&work.at("base.fvecs"), &base, dim);
    write_rows(&work.at("queries.fvecs"), &queries, dim);
    let made = work.run(["import", "base.fvecs", "--out", "c"]).done();
    assert!(made.stderr.contains("6,000 vectors"), "{}", made.stderr);
    let ask = |more: &[&str]| {
        let words = [&["query", "c", "--vectors", "queries.fvecs", "--json"], more].concat();
        work.run(words).done().json()
    };
    let (graph, exact) = (ask(&["--ef", "200"]), ask(&["--exact"]));
    let plan = &graph["plan"][0];
    assert_eq!((&plan["index"], &plan["ef"], &plan["vectors"]), (&"hnsw".into(), &200.into(), &6000.into()));
    assert!(plan["recall_at_10"].as_f64().unwrap() > 0.9);
    assert_eq!(exact["plan"][0]["index"], "exact");
    let rows = |answer: &serde_json::Value| -> Vec<Vec<u64>> {
        let results = answer["results"].as_array().unwrap();
        let row = |found: &serde_json::Value| found["row"].as_u64().unwrap();
        results.iter().map(|found| found.as_array().unwrap().iter().map(row).collect()).collect()
    };
    let (graph, exact) = (rows(&graph), rows(&exact));
    let right =
        graph.iter().zip(&exact).map(|(graph, exact)| graph.iter().filter(|row| exact.contains(row)).count());
    assert!(right.sum::<usize>() >= 490, "recall of 500 neighbours");
    // A share that was never reached takes the greatest effort.
    assert_eq!(ask(&["--recall", "1"])["plan"][0]["index"], "hnsw");
    let told = work.run(["query", "c", "--vectors", "queries.fvecs", "--explain"]).done();
    assert!(told.stderr.contains("segment 1, 6,000 vectors: hnsw, ef "), "{}", told.stderr);
    for wrong in [&["--recall", "0"][..], &["--recall", "1.5"], &["--ef", "0"], &["--ef", "9", "--exact"]] {
        work.run([&["query", "c", "--vectors", "queries.fvecs"], wrong].concat()).refused(2, &[wrong[0]]);
    }
    // Without graphs everything is scanned; with them again, the file is as it was.
    let before = std::fs::read(work.at("c/segments/000001/graph.pdx")).unwrap();
    work.run(["compact", "c", "--index", "exact"]).done();
    assert_eq!(ask(&[])["plan"][0]["reason"], "no graph");
    work.run(["compact", "c", "--index", "hnsw"]).done();
    assert_eq!(ask(&["--ef", "200"])["plan"][0]["index"], "hnsw");
    assert!(std::fs::read(work.at("c/segments/000001/graph-3.pdx")).unwrap() == before);
    work.run(["verify", "c", "--full"]).done();
}

#[test]
fn graphs_are_built_by_whom_the_command_names() {
    let work = Workspace::new();
    let base: Vec<f32> = (0..3000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32).collect();
    write_rows(&work.at("base.fvecs"), &base, 10);
    work.run(["import", "base.fvecs", "--out", "c", "--builder", "batch"]).done();
    let plan = || manifest(&work.at("c"))["graph"].clone();
    assert_eq!(plan()["builder"], "batch");
    work.run(["compact", "c", "--m", "5"]).refused(2, &["--index"]);
    work.run(["compact", "c", "--index", "hnsw", "--m", "5", "--ef-construction", "50"]).done();
    assert_eq!((&plan()["m"], &plan()["ef_construction"]), (&5.into(), &50.into()));
    let nobody = ["compact", "c", "--index", "hnsw", "--builder", "nobody"];
    work.run(nobody).refused(2, &["'nobody'", "--builder", "unknown to this patchdex, which has batch"]);
    let other = work.run(["compact", "c", "--index", "hnsw", "--builder", "hnsw_rs"]);
    if cfg!(feature = "hnsw-rs") {
        other.done();
        assert_eq!(plan()["builder"], "hnsw_rs");
        work.run(["verify", "c", "--full"]).done();
    } else {
        other.refused(2, &["'hnsw_rs'", "cargo build --release --features hnsw-rs"]);
    }
}

#[test]
fn near_vectors_of_an_image_share_a_node_where_that_is_asked_for() {
    let work = Workspace::new();
    let scattered = |at: u32| {
        let mixed = at.wrapping_mul(2_654_435_761);
        (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519) >> 16
    };
    let singles: Vec<f32> = (0..2000).map(|at| scattered(at) as f32).collect();
    write_rows(&work.at("base.fvecs"), &[&singles[..], &singles, &singles].concat(), 10);
    work.run(["import", "base.fvecs", "--out", "c"]).done();
    let plan = || manifest(&work.at("c"))["graph"].clone();
    assert!(plan().get("merge_similar").is_none());
    let merge = ["compact", "c", "--index", "hnsw", "--merge-similar", "0.9999"];
    work.run(merge).done();
    assert_eq!(plan()["merge_similar"], 0.9999);
    let inspected = work.run(["inspect", "c"]).done();
    assert!(inspected.stdout.contains("200 nodes for 600 patches"), "{}", inspected.stdout);
    work.run(["verify", "c", "--full"]).done();
    let asked = ["query", "c", "--vectors", "base.fvecs", "--top", "1", "--ef", "100", "--json"];
    let asked = work.run(asked).done();
    let answers = asked.json()["results"].as_array().unwrap().clone();
    let similarities = answers.iter().map(|found| found[0]["similarity"].as_f64().unwrap());
    let least = similarities.fold(1.0, f64::min);
    assert!(answers.len() == 600 && least > 0.999, "{least}");
    // What is not said again stays.
    work.run(["compact", "c", "--index", "hnsw", "--m", "5"]).done();
    assert_eq!((&plan()["m"], &plan()["merge_similar"]), (&5.into(), &0.9999.into()));
    work.run(["import", "base.fvecs", "--out", "l2", "--metric", "l2"]).done();
    let merge = |value| work.run(["compact", "l2", "--index", "hnsw", "--merge-similar", value]);
    merge("0.9").refused(2, &["l2", "cosine", "nothing was changed"]);
    merge("0").refused(2, &["--merge-similar", "above 0"]);
    work.run(["compact", "c", "--merge-similar", "0.9"]).refused(2, &["--index"]);
    work.run(["index", ".", "--out", "x", "--metric", "l2", "--merge-similar", "0.9"])
        .refused(2, &["cosine"]);
}

#[test]
fn a_collection_whose_builder_is_not_there_says_how_to_go_on() {
    let work = Workspace::new();
    let base: Vec<f32> = (0..3000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32).collect();
    write_rows(&work.at("base.fvecs"), &base, 10);
    work.run(["import", "base.fvecs", "--out", "c"]).done();
    let file = work.at("c/manifest.json");
    let mut forged = Manifest::parse(&std::fs::read(&file).unwrap()).unwrap();
    forged.graph.as_mut().unwrap().builder = "nobody".to_owned();
    std::fs::write(&file, forged.to_bytes()).unwrap();
    // A graph that is there is searched without the builder.
    work.run(["query", "c", "--vectors", "base.fvecs", "--ef", "20"]).done();
    write_rows(&work.at("more.fvecs"), &base[10..], 10);
    work.run(["import", "more.fvecs", "--out", "more"]).done();
    work.run(["merge", "both", "c", "more"]).refused(
        1,
        &[
            "its graphs are built by 'nobody'",
            "unknown to this patchdex",
            "compact --index hnsw --builder batch",
        ],
    );
    work.run(["compact", "c", "--index", "hnsw", "--builder", "batch"]).done();
    assert_eq!(manifest(&work.at("c"))["graph"]["builder"], "batch");
}

#[test]
fn a_damaged_graph_is_made_anew() {
    let work = Workspace::new();
    let base: Vec<f32> = (0..3000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32).collect();
    write_rows(&work.at("base.fvecs"), &base, 10);
    work.run(["import", "base.fvecs", "--out", "c"]).done();
    let graph = work.at("c/segments/000001/graph.pdx");
    let sound = std::fs::read(&graph).unwrap();
    let mut damaged = sound.clone();
    damaged[200] ^= 1;
    std::fs::write(&graph, &damaged).unwrap();
    assert!(work.run(["verify", "c", "--full"]).ended(1).stdout.contains("graph.pdx"));
    let repaired = work.run(["repair", "c"]).done();
    assert!(repaired.stderr.contains("the graph of segment 000001"), "{}", repaired.stderr);
    assert!(std::fs::read(work.at("c/segments/000001/graph-2.pdx")).unwrap() == sound);
    assert!(std::fs::read(work.at("c/quarantine/000001/graph.pdx")).unwrap() == damaged);
    work.run(["verify", "c", "--full"]).done();
}

#[test]
fn a_graph_that_cannot_be_used_keeps_nobody_from_asking() {
    let work = Workspace::new();
    let base: Vec<f32> = (0..3000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32).collect();
    write_rows(&work.at("base.fvecs"), &base, 10);
    write_rows(&work.at("query.fvecs"), &base[..10], 10);
    work.run(["import", "base.fvecs", "--out", "c"]).done();
    let graph = work.at("c/segments/000001/graph.pdx");
    let sound = std::fs::read(&graph).unwrap();
    let ask = |more: &[&str]| {
        work.run([&["query", "c", "--vectors", "query.fvecs", "--json"], more].concat()).done()
    };
    let found = ask(&[]).json()["results"].clone();
    let cut = |bytes: &[u8]| std::fs::write(&graph, bytes).unwrap();
    let damages: [&dyn Fn(); 3] =
        [&|| cut(&sound[..sound.len() - 1]), &|| cut(b"no graph"), &|| std::fs::remove_file(&graph).unwrap()];
    for damage in damages {
        damage();
        let asked = ask(&[]);
        assert_eq!(asked.stderr.matches("warning").count(), 1, "{}", asked.stderr);
        assert!(asked.stderr.contains("graph.pdx") && asked.stderr.contains("repair"), "{}", asked.stderr);
        let asked = asked.json();
        assert_eq!((&asked["results"], &asked["plan"][0]["reason"]), (&found, &"damaged graph".into()));
        assert!(!ask(&["--exact"]).stderr.contains("graph"));
        assert!(work.run(["inspect", "c"]).done().stderr.contains("graph.pdx"));
        let verified = work.run(["verify", "c", "--quick"]).ended(1);
        assert!(verified.stdout.contains("graph.pdx"), "{}", verified.stdout);
    }
    work.run(["repair", "c"]).done();
    assert!(std::fs::read(work.at("c/segments/000001/graph-2.pdx")).unwrap() == sound);
    assert_eq!(ask(&[]).stderr, "");
}

#[test]
fn a_graph_that_is_worth_nothing_stops_only_who_asked_for_it() {
    let work = Workspace::new();
    let mut state = 7u32;
    let mut number = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let (dim, poor) = (64, ["--m", "2", "--ef-construction", "4"]);
    for name in ["a.fvecs", "b.fvecs"] {
        write_rows(&work.at(name), &(0..6000 * dim).map(&mut number).collect::<Vec<_>>(), dim);
    }
    let words = [&["import", "a.fvecs", "--out", "refused"][..], &poor].concat();
    let refused = work.run(words).refused(2, &["000001", "--index exact"]);
    assert!(refused.stderr.contains("of sampled vectors find themselves"), "{}", refused.stderr);
    // Collections whose vectors once had poor graphs that were good enough.
    for (file, name) in [("a.fvecs", "a"), ("b.fvecs", "b")] {
        work.run(["import", file, "--out", name, "--index", "exact"]).done();
        let path = work.at(name).join("manifest.json");
        let mut manifest = patchdex_format::Manifest::parse(&std::fs::read(&path).unwrap()).unwrap();
        let plan = patchdex_format::GraphPlan {
            builder: "batch".into(),
            m: 2,
            ef_construction: 4,
            seed: 0,
            merge_similar: None,
        };
        manifest.graph = Some(plan);
        std::fs::write(&path, manifest.to_bytes()).unwrap();
    }
    let merged = work.run(["merge", "c", "a", "b"]).done();
    assert!(merged.stderr.contains("warning: segment 000001 has no graph"), "{}", merged.stderr);
    assert!(work.run(["inspect", "c"]).done().stdout.contains("of segment 000001: none, it is scanned"));
    let asked = work.run(["query", "c", "--vectors", "a.fvecs", "--top", "1", "--json"]).done().json();
    assert_eq!(asked["plan"][0]["reason"], "no graph");
    // What was worth nothing is not tried again by those who did not ask for it.
    assert!(!work.run(["remove", "c", "a.fvecs"]).done().stderr.contains("graph"));
    work.run(["verify", "c"]).done();
}

#[test]
fn graphs_of_a_finished_collection_are_changed_by_compact_alone() {
    let work = Workspace::new();
    let base: Vec<f32> = (0..30_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 16) as f32).collect();
    write_rows(&work.at("base.fvecs"), &base, 10);
    let import = |more: &[&str]| work.run([&["import", "base.fvecs", "--out", "c"], more].concat());
    import(&["--m", "8"]).done();
    for same in [&[][..], &["--m", "8"], &["--index", "hnsw"]] {
        assert!(import(same).done().stderr.contains("up to date"));
    }
    for other in [&["--m", "9"][..], &["--ef-construction", "100"], &["--index", "exact"]] {
        import(other).refused(2, &["patchdex compact c --index", "m 8"]);
    }
    let plan = || {
        let manifest = work.run(["inspect", "c", "--json"]).done().json()["manifest"].take();
        (
            manifest["commit"].clone(),
            manifest["graph"]["m"].clone(),
            manifest["graph"]["ef_construction"].clone(),
        )
    };
    work.run(["compact", "c", "--m", "4"]).refused(2, &["--index"]);
    work.run(["compact", "c", "--index", "hnsw"]).done();
    assert_eq!(plan(), (1.into(), 8.into(), 200.into()), "nothing changes");
    work.run(["compact", "c", "--index", "hnsw", "--ef-construction", "50"]).done();
    assert_eq!(plan(), (2.into(), 8.into(), 50.into()));
    work.run(["compact", "c", "--index", "exact"]).done();
    import(&[]).done();
    import(&["--index", "hnsw"]).refused(2, &["patchdex compact c --index", "no graphs"]);
    write_rows(&work.at("long.fvecs"), &[0.5; 3 * 16_385], 16_385);
    work.run(["import", "long.fvecs", "--out", "d"]).done();
    work.run(["compact", "d", "--index", "hnsw"]).refused(2, &["16385 numbers", "scanned"]);

    work.photos(&["moon.png"]);
    work.index("photos", "p", &[]).done();
    work.index("photos", "p", &["--m", "16"]).done();
    work.index("photos", "p", &["--m", "17"]).refused(2, &["patchdex compact p --index", "m 16"]);
}
