//! `patchdex bench`: figures of a small made-up set and of photographs in every form of output, and what is refused.

use patchdex::storage::Residency;
use serde_json::Value;

use crate::workspace::{Run, Workspace, keys, photo, rows_of, write_rows};

const DIM: usize = 16;

/// Rows around 40 centres.
fn made_up(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..40 * DIM).map(|_| next()).collect();
    (0..count).flat_map(|row| centres[row % 40 * DIM..][..DIM].to_vec()).map(|v| v + 0.4 * next()).collect()
}

fn with_data() -> Workspace {
    let work = Workspace::new();
    write_rows(&work.at("base.npy"), &made_up(2000, 1), DIM);
    work
}

fn bench(work: &Workspace, more: &[&str]) -> Run {
    work.run([&["bench", "ann", "--data", "base.npy"], more].concat())
}

fn points(report: &Value) -> &[Value] {
    report["points"].as_array().unwrap()
}

#[test]
fn the_figures_have_stable_keys_and_exact_finds_all() {
    let work = with_data();
    let report = bench(
        &work,
        &["--query-count", "100", "--ef", "10,80", "--threads", "1,2", "--rounds", "2", "--json"],
    );
    let report = report.done().json();
    assert_eq!(
        keys(&report),
        [
            "build_memory",
            "build_s",
            "build_threads",
            "cold_open_ms",
            "data",
            "index_bytes",
            "k",
            "machine",
            "open_ms",
            "points",
            "residency",
            "rounds"
        ]
    );
    assert_eq!(report["residency"], "mapped");
    assert!(report["cold_open_ms"]["hnsw"].is_null(), "nobody asked for it");
    let data = &report["data"];
    assert_eq!(
        keys(data),
        ["dim", "equal_left_out", "metric", "path", "queries", "queries_path", "rows", "vectors"]
    );
    assert_eq!((&data["rows"], &data["queries"], &data["dim"]), (&1900.into(), &100.into(), &DIM.into()));
    assert_eq!((&data["metric"], &data["vectors"]), (&"cosine".into(), &"f16".into()));
    assert_eq!(keys(&report["machine"]), ["cores", "cpu", "kernels", "os"]);
    for each in ["build_s", "index_bytes", "open_ms", "cold_open_ms", "build_memory"] {
        assert_eq!(keys(&report[each]), ["exact", "hnsw"], "{each}");
    }
    assert_eq!(report["index_bytes"]["exact"], 0);
    assert!(report["index_bytes"]["hnsw"].as_u64().unwrap() > 1900 * 32 * 4);
    assert_eq!(points(&report).len(), 2 + 4);
    for point in points(&report) {
        assert_eq!(
            keys(point),
            [
                "index",
                "p50_us",
                "p95_us",
                "p99_us",
                "params",
                "pareto",
                "qps",
                "qps_max",
                "qps_min",
                "queries",
                "recall_at_10",
                "recall_at_10_ann_benchmarks",
                "threads"
            ]
        );
        let number = |key: &str| point[key].as_f64().unwrap();
        assert!(number("qps_min") <= number("qps") && number("qps") <= number("qps_max"), "{point}");
        match point["index"].as_str().unwrap() {
            "exact" => assert_eq!((number("recall_at_10"), keys(&point["params"]).len()), (1.0, 0)),
            _ => {
                assert_eq!(keys(&point["params"]), ["builder", "ef", "ef_construction", "m"]);
                assert!(number("recall_at_10") > 0.8, "{point}");
            }
        }
        match point["threads"].as_u64().unwrap() {
            1 => assert!(number("p50_us") <= number("p95_us") && number("p95_us") <= number("p99_us")),
            _ => assert!(point["p50_us"].is_null()),
        }
    }
    assert!(points(&report).iter().any(|point| point["pareto"] == true));
}

#[test]
fn recall_is_the_same_every_time_and_follows_the_seed() {
    let work = with_data();
    let recalls = |more: &[&str]| -> Vec<f64> {
        let few =
            ["--query-count", "200", "--indexes", "hnsw", "--ef", "10,20", "--m", "4", "--threads", "1"];
        let report = bench(&work, &[&few[..], &["--rounds", "1", "--json"], more].concat()).done().json();
        points(&report).iter().map(|point| point["recall_at_10"].as_f64().unwrap()).collect()
    };
    let first = recalls(&[]);
    assert_eq!(recalls(&[]), first);
    assert_ne!(recalls(&["--seed", "9"]), first);
}

#[test]
fn the_first_answer_is_also_measured_from_the_disk() {
    let work = with_data();
    let few = ["--query-count", "50", "--ef", "10", "--threads", "1", "--rounds", "1", "--json", "--cold"];
    let run = bench(&work, &few).done();
    match &run.json()["cold_open_ms"]["hnsw"] {
        // A temporary folder may lie in memory only.
        Value::Null => assert!(run.stderr.contains("cannot take a file out"), "{}", run.stderr),
        took => assert!(took.as_f64().unwrap() > 0.0),
    }
}

#[test]
fn recall_is_the_same_whatever_the_residency() {
    let work = with_data();
    let measured = |residency: &str| {
        let few = ["--query-count", "50", "--ef", "10,20", "--threads", "1", "--rounds", "1", "--json"];
        let report = bench(&work, &[&few[..], &["--residency", residency]].concat()).done().json();
        assert_eq!(report["residency"], residency);
        points(&report).iter().map(|point| point["recall_at_10"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let mapped = measured("mapped");
    assert!(Residency::ALL.iter().all(|residency| measured(residency.name()) == mapped));
}

#[test]
fn table_csv_plot_and_page_are_written() {
    let work = with_data();
    let small = ["--query-count", "50", "--ef", "10,40", "--threads", "1", "--rounds", "1", "--k", "5"];
    let files = ["--csv", "a.csv", "--svg", "a.svg", "--html", "a.html"];
    let run = bench(&work, &[&small[..], &files].concat()).done();
    assert!(
        run.stdout
            .starts_with("data      base.npy: 1,950 vectors of 16 numbers, f16, cosine; 50 queries held out")
    );
    assert!(run.stdout.contains("\nresidency mapped\n"), "{}", run.stdout);
    assert!(run.stdout.contains("recall@5") && run.stdout.contains("* hnsw"), "{}", run.stdout);
    let text = |name: &str| std::fs::read_to_string(work.at(name)).unwrap();
    let csv = text("a.csv");
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + 3);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{csv}");
    let column =
        |name: &str| lines[0].iter().position(|&cell| cell == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(lines[1][column("recall_at_5")], "1");
    assert_eq!([lines[1][column("ef")], lines[2][column("ef")], lines[3][column("ef")]], ["", "10", "40"]);
    let svg = text("a.svg");
    assert!(
        svg.starts_with("<svg") && svg.contains("recall@5") && svg.contains("prefers-color-scheme: dark")
    );
    assert_eq!(svg.matches("<title>").count(), 3);
    let page = text("a.html");
    for part in ["<!DOCTYPE html>", "<svg", "bench ann --data base.npy", "--k 5", "recall@5", "</table>"] {
        assert!(page.contains(part), "{part}");
    }
    for elsewhere in ["src=", "href=", "url(", "@import"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // The same files may be written again, others may not.
    bench(&work, &[&small[..], &files].concat()).done();
    bench(&work, &["--svg", "base.npy"]).refused(2, &["base.npy", "not a plot", "another --svg"]);
    bench(&work, &["--csv", "gone/a.csv"]).refused(1, &["gone", "another --csv"]);
}

#[test]
fn queries_come_from_a_file_and_data_from_a_collection() {
    let work = with_data();
    write_rows(&work.at("queries.fvecs"), &made_up(30, 2), DIM);
    work.run(["import", "base.npy", "--out", "c", "--vectors", "i8"]).done();
    let small = ["--ef", "20", "--threads", "1", "--rounds", "1", "--json"];
    let asked = bench(&work, &[&["--queries", "queries.fvecs"], &small[..]].concat()).done().json();
    assert_eq!((&asked["data"]["rows"], &asked["data"]["queries"]), (&2000.into(), &30.into()));
    let of_collection = work.run([&["bench", "ann", "--data", "c"], &small[..]].concat()).done().json();
    let data = &of_collection["data"];
    assert_eq!(
        (&data["vectors"], &data["rows"], &data["queries"]),
        (&"i8".into(), &1800.into(), &200.into())
    );
    work.run(["bench", "ann", "--data", "c", "--metric", "dot"]).refused(2, &["cosine", "dot", "--metric"]);
}

#[test]
fn vectors_of_removed_images_are_neither_searched_nor_asked() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "moon.png"]);
    work.index("photos", "c", &[]).done();
    let measured = || {
        let few = ["--query-count", "9", "--indexes", "hnsw", "--ef", "10", "--rounds", "1", "--json"];
        let report = work.run([&["bench", "ann", "--data", "c"], &few[..]].concat()).done().json();
        let number = |key: &str| report["data"][key].as_u64().unwrap();
        number("rows") + number("queries") + number("equal_left_out")
    };
    let patches = || -> u64 {
        let inside = work.run(["inspect", "c", "--images", "--json"]).done().json();
        inside["images"].as_array().unwrap().iter().map(|image| image["patches"].as_u64().unwrap()).sum()
    };
    let before = measured();
    assert_eq!(before, patches());
    work.run(["remove", "c", "moon.png"]).done();
    assert_eq!(measured(), patches());
    assert!(measured() < before);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let work = with_data();
    work.run(["bench"]).refused(2, &["Usage", "ann"]);
    work.run(["bench", "ann"]).refused(2, &["--data"]);
    for (more, parts) in [
        (["--indexes", "ivf"], ["exact, hnsw", "ivf"]),
        (["--metric", "hamming"], ["cosine, dot, l2", "hamming"]),
        (["--vectors", "f8"], ["f32, f16, i8", "f8"]),
        (["--threads", "none"], ["or all", "none"]),
        (["--threads", "0"], ["or all", "0"]),
        (["--ef", "0"], ["--ef", "0 is not in"]),
        (["--rounds", "0"], ["--rounds", "0"]),
        (["--query-count", "1001"], ["1001 of 2000 rows", "--queries"]),
    ] {
        bench(&work, &more).refused(2, &parts);
    }
    bench(&work, &["--queries", "base.npy", "--query-count", "3"]).refused(2, &["--query-count"]);
    work.run(["bench", "ann", "--data", "gone.npy"]).refused(1, &["gone.npy"]);
    work.run(["bench", "ann", "--data", "base.mat"]).refused(2, &["base.mat", ".npy"]);
}

#[test]
fn files_of_the_wrong_shape_are_named() {
    let work = with_data();
    write_rows(&work.at("narrow.npy"), &made_up(10, 3), DIM / 2);
    bench(&work, &["--queries", "narrow.npy"]).refused(1, &["narrow.npy", "8 numbers", "16"]);
    let npy = std::fs::read(work.at("base.npy")).unwrap();
    let shape = b"(2000, 16)";
    let at = npy.windows(shape.len()).position(|window| window == shape).unwrap();
    for (name, other, parts) in [
        ("list.npy", b"(32000,)  ", ["list.npy", "1 of 1 rows"]),
        ("grids.npy", b"(8,250,16)", ["grids.npy", "its shape is (8,250,16)"]),
    ] {
        let mut reshaped = npy.clone();
        reshaped[at..at + shape.len()].copy_from_slice(other);
        work.write(name, reshaped);
        work.run(["bench", "ann", "--data", name]).refused(2, &parts);
    }
    work.write("cut.npy", &npy[..npy.len() - 4]);
    work.run(["bench", "ann", "--data", "cut.npy"]).refused(1, &["cut.npy", "2000 rows of 16"]);
    let (mut rows, _) = rows_of(&work.at("base.npy"));
    rows[5 * DIM] = f32::NAN;
    let mut vecs = Vec::new();
    for row in rows.chunks(DIM) {
        vecs.extend((DIM as u32).to_le_bytes());
        vecs.extend(row.iter().flat_map(|v| v.to_le_bytes()));
    }
    work.write("nan.fvecs", vecs);
    work.run(["bench", "ann", "--data", "nan.fvecs"]).refused(2, &["nan.fvecs", "row 5"]);
}

#[test]
fn embedding_is_measured_stage_by_stage_and_as_a_whole() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "rocket.jpg"]);
    work.write("photos/copy.png", std::fs::read(photo("coffee.png")).unwrap());
    work.write("photos/broken.jpg", "no picture");
    let few = ["bench", "embed", "photos", "--long-side", "112", "--rounds", "2", "--threads", "2"];
    let report = work.run([&few[..], &["--json"]].concat()).done().json();
    assert_eq!(
        (&report["images"], &report["left_out"], &report["device"]),
        (&2.into(), &2.into(), &"cpu".into())
    );
    assert_eq!(report["patches"], 8 * 5 + 8 * 5);
    let names = |list: &str| -> Vec<String> {
        let speeds = report[list].as_array().unwrap().iter();
        speeds.map(|speed| speed["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("stages"), ["decode", "resize", "model", "store"]);
    assert_eq!(names("model_alone"), ["2 x 1 thread", "1 x 2 threads", "2 x 1 thread, 4 at once"]);
    let rate = |speed: &serde_json::Value| speed["images_per_s"].as_f64().unwrap();
    let fastest = report["model_alone"].as_array().unwrap().iter().map(rate).fold(0.0, f64::max);
    let share = report["share_of_model"].as_f64().unwrap();
    assert!((share - rate(&report["index"]) / fastest).abs() < 1e-9 && share > 0.0, "{share}");
    let told = work.run(few).done();
    for part in ["each stage alone", "the model alone", "all together", "decode", "cpu"] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    work.run(["bench", "embed", "photos/broken.jpg"]).refused(1, &["broken.jpg"]);
}
