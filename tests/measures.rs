//! Measures against other people's: scikit-learn, pycocotools, revisitop's average precision and DAVIS's J and F, on random cases with ties, junk and
//! things that were not found.
//!
//! The other half is `tools/check_measures.py`, which fetches the libraries into the cache.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests write files, and document themselves by their names"
)]

use std::path::Path;
use std::process::Command;

use patchdex::core::{Bbox, SplitMix64};
use patchdex::eval::{BoxRanking, Confusion, Place, Ranking, Regions, Relevance};
use patchdex::index::{HnswParameters, INDEX_KINDS, PatchIndex, Rows, Vectors};
use patchdex::metric::METRICS;
use serde_json::{Value, json};

const CASES: usize = 60;
const IGNORED: u16 = 255;

/// A number below `end`.
fn below(random: &mut SplitMix64, end: u64) -> u64 {
    random.next_u64() % end
}

fn ranking(random: &mut SplitMix64) -> Value {
    let length = 1 + below(random, 40);
    let relevance: Vec<i8> = (0..length).map(|_| [0, 0, 1, 1, -1][below(random, 5) as usize]).collect();
    let found = relevance.iter().filter(|&&one| one == 1).count();
    let positives = (found + below(random, 5) as usize).max(1);
    let of = |&one: &i8| match one {
        1 => Relevance::Positive,
        0 => Relevance::Negative,
        _ => Relevance::Junk,
    };
    let ranking = Ranking::new(relevance.iter().map(of), positives).expect("something is right");
    let recall: serde_json::Map<String, Value> =
        [1, 5, 10].map(|k: usize| (k.to_string(), json!(ranking.recall_at(k)))).into_iter().collect();
    json!({
        "relevance": relevance,
        "positives": positives,
        "figures": {
            "trapezoidal": ranking.ap_trapezoidal(), "rectangular": ranking.ap_rectangular(), "recall": recall,
        },
    })
}

fn boxes(random: &mut SplitMix64) -> Value {
    let mut place = |_: u64| {
        let [x, y, w, h] = [40, 40, 60, 60].map(|end| below(random, end) as f32);
        Place { image: below(random, 4) as usize, bbox: Bbox::new(x, y, w + 1.0, h + 1.0) }
    };
    let truth: Vec<Place> = (0..5).map(&mut place).collect();
    let hits: Vec<Place> = (0..25).map(&mut place).collect();
    let ranking = BoxRanking { hits: &hits, truth: &truth };
    let figures: serde_json::Map<String, Value> = [0.3, 0.5, 0.75]
        .map(|iou| (iou.to_string(), json!(ranking.average_precision(iou))))
        .into_iter()
        .collect();
    let listed = |places: &[Place]| -> Vec<Value> {
        let one =
            |place: &Place| json!([place.image + 1, place.bbox.x, place.bbox.y, place.bbox.w, place.bbox.h]);
        places.iter().map(one).collect()
    };
    json!({"truth": listed(&truth), "hits": listed(&hits), "figures": figures})
}

fn confusion(random: &mut SplitMix64) -> Value {
    let truth: Vec<u16> = (0..300).map(|_| [0, 1, 2, 5, IGNORED][below(random, 5) as usize]).collect();
    let predicted: Vec<u16> = (0..300).map(|_| [0, 1, 2, 3, 5][below(random, 5) as usize]).collect();
    let confusion = Confusion::of(&truth, &predicted, IGNORED);
    json!({
        "truth": truth, "predicted": predicted, "ignored": IGNORED,
        "figures": {"mean_iou": confusion.mean_iou(), "accuracy": confusion.accuracy()},
    })
}

/// Blobs that overlap, or not; now and then none.
fn regions(random: &mut SplitMix64) -> Value {
    const SIZE: [usize; 2] = [140, 90];
    let mut region = || {
        let mut map = vec![false; SIZE[0] * SIZE[1]];
        for _ in 0..below(random, 4) {
            let [x, y, w, h] = [100, 60, 60, 50].map(|end| below(random, end) as usize);
            for row in y..(y + h).min(SIZE[1]) {
                map[row * SIZE[0]..][x..(x + w).min(SIZE[0])].fill(true);
            }
        }
        map
    };
    let (found, truth) = (region(), region());
    let regions = Regions { width: SIZE[0], found: &found, truth: &truth };
    let numbers = |map: &[bool]| map.iter().map(|&is_in| u8::from(is_in)).collect::<Vec<u8>>();
    json!({
        "width": SIZE[0], "found": numbers(&found), "truth": numbers(&truth),
        "figures": {"jaccard": regions.jaccard(), "contour": regions.contour()},
    })
}

/// The exact index, each metric.
fn neighbours(random: &mut SplitMix64) -> Vec<Value> {
    const DIM: usize = 16;
    let mut numbers = |count: usize| -> Vec<f32> {
        (0..count * DIM).map(|_| (below(random, 2001) as f32 - 1000.0) / 1000.0).collect()
    };
    let (rows, queries) = (numbers(500), numbers(40));
    let listed = |numbers: &[f32]| numbers.chunks_exact(DIM).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let case = |metric: patchdex::metric::Metric| {
        let (mut comparable, mut asked) = (rows.clone(), queries.clone());
        metric.prepare(&mut comparable, DIM);
        metric.prepare(&mut asked, DIM);
        let vectors = Vectors { rows: Rows::F32(&comparable), dim: DIM, metric };
        let index: Box<dyn PatchIndex + '_> = (INDEX_KINDS[0].build)(vectors, &HnswParameters::default());
        let found = index.search_many(&asked, 10, 0);
        let found: Vec<Vec<u64>> =
            found.iter().map(|found| found.iter().map(|one| one.row).collect()).collect();
        json!({"metric": metric.name, "rows": listed(&rows), "queries": listed(&queries), "found": found})
    };
    METRICS.into_iter().map(case).collect()
}

#[test]
fn figures_are_those_of_other_libraries() {
    let mut random = SplitMix64(11);
    let mut cases =
        |make: fn(&mut SplitMix64) -> Value| (0..CASES).map(|_| make(&mut random)).collect::<Vec<_>>();
    let (rankings, boxes, confusions) = (cases(ranking), cases(boxes), cases(confusion));
    let regions = cases(regions);
    let neighbours = neighbours(&mut random);
    let work = tempfile::tempdir().expect("a temporary folder");
    let file = work.path().join("cases.json");
    let all = json!({
        "rankings": rankings, "boxes": boxes, "confusions": confusions, "regions": regions, "neighbours": neighbours,
    });
    std::fs::write(&file, all.to_string()).expect("the folder takes files");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_measures.py");
    let run = Command::new("python3").arg(script).arg(&file).output().expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");
}
