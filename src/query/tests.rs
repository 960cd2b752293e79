//! Queries over a collection of made-up patches: what is in scope, copies under their own names, groups.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use patchdex_format::{
    ContainerWriter, Element, FORMAT_VERSION, FileEntry, ImageRow, ImageTableWriter, MANIFEST_NAME, Manifest,
    ModelBinding, PreparationEntry, SegmentEntry, ViewPlan, ViewRow,
};
use proptest::prelude::*;

use super::candidates::Candidates;
use super::places::Places;
use super::search::RowSearch;
use super::*;
use crate::collection::Collection;
use crate::core::{Bbox, Grid, Hit, Pose, Posed};
use crate::segment::{FileRole, file_entry, write_container};
use crate::storage;

const DIM: usize = 8;
/// Patches along each side of an image, and pixels along each side of a patch.
const SIDE: u32 = 4;
const PATCH_PX: u32 = 10;

/// A name and what the image shows: the whole part is the motif, the rest how far it is from the motif.
type Shown<'a> = (&'a str, f32);

fn noise(seed: &str) -> Vec<f32> {
    let mut bytes = [0; DIM * (SIDE * SIDE) as usize];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes.iter().map(|&byte| f32::from(byte) / 127.5 - 1.0).collect()
}

/// Unit vectors, patch by patch.
fn vectors(shows: f32) -> Vec<f32> {
    let motif = noise(&format!("{}", shows.floor()));
    let change = noise(&format!("{shows} changed"));
    let mut rows: Vec<f32> = motif.iter().zip(&change).map(|(a, b)| a + shows.fract() * b).collect();
    crate::metric::METRICS[0].prepare(&mut rows, DIM);
    rows
}

fn grid() -> Grid {
    let side = SIDE * PATCH_PX;
    Grid { area: Bbox::of_image(side, side), rows: SIDE, cols: SIDE }
}

/// What `shows` asks for, whole.
fn tokens(shows: f32) -> QueryTokens {
    let grid = grid();
    let view = QueryView { area: grid.area, zoom: 1.0 };
    let size = (SIDE * PATCH_PX, SIDE * PATCH_PX);
    let marked = Marked::new(&grid.area, None, size, Pose::default());
    let seen = SeenView { view, grid, vectors: vectors(shows), dim: DIM, artefacts: Vec::new() };
    QueryTokens::select(marked, &seen, 256)
}

/// The same as what is looked for.
fn subject(shows: f32) -> Subject {
    Subject { image: "q".to_owned(), looks: vec![tokens(shows)], unlike: Vec::new() }
}

fn segment(folder: &std::path::Path, id: &str, images: &[Shown<'_>]) -> SegmentEntry {
    let mut table = ImageTableWriter::default();
    let (mut rows, mut places) = (Vec::new(), HashMap::new());
    for &(path, shows) in images {
        let content = *blake3::hash(&shows.to_le_bytes()).as_bytes();
        let (width_px, height_px) = (SIDE * PATCH_PX, SIDE * PATCH_PX);
        let row = ImageRow { width_px, height_px, content, ..bytemuck::Zeroable::zeroed() };
        if let Some(&original) = places.get(&content) {
            table.push_duplicate(path.as_bytes(), row, original);
            continue;
        }
        let first_patch = (rows.len() / DIM) as u64;
        let area = grid().area;
        let view = ViewRow {
            first_patch,
            image: 0,
            rows: SIDE,
            cols: SIDE,
            kind: 0,
            area: [area.x, area.y, area.w, area.h],
        };
        places.insert(content, table.push(path.as_bytes(), row, &[view]));
        rows.extend(vectors(shows));
    }
    let folder = folder.join("segments").join(id);
    storage::create_dir_all(&folder).unwrap();
    write_container(&folder.join(FileRole::Images.first_name()), |file| {
        table.write(file, "test").map(|_| ())
    })
    .unwrap();
    write_container(&folder.join(FileRole::Vectors.first_name()), |file| {
        let mut writer = ContainerWriter::new(file, FileRole::Vectors.kind(), "test")?;
        writer.section("vectors", Element::F32, DIM as u32, &rows)?;
        writer.finish().map(|_| ())
    })
    .unwrap();
    let files = [FileRole::Images, FileRole::Vectors].map(FileRole::first_name);
    SegmentEntry {
        id: id.to_owned(),
        images: table.len() as u64,
        views: table.view_count() as u64,
        patches: (rows.len() / DIM) as u64,
        files: files.map(|name| file_entry(&folder, &name).unwrap()).to_vec(),
        graph: None,
    }
}

/// A collection that lives as long as the maps of its files.
fn collection(segments: &[&[Shown<'_>]]) -> Collection {
    collection_by("cosine", segments)
}

fn collection_by(metric: &str, segments: &[&[Shown<'_>]]) -> Collection {
    let folder = tempfile::tempdir().unwrap();
    let listed = |(at, images): (usize, &&[Shown<'_>])| segment(folder.path(), &format!("{at:06}"), images);
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        created_by: "test".to_owned(),
        commit: 1,
        root: String::new(),
        metric: metric.to_owned(),
        model: ModelBinding {
            name: "made-up".to_owned(),
            digest: String::new(),
            folder: String::new(),
            variant: "fp32".to_owned(),
            device: None,
            licence: None,
            patch_px: PATCH_PX,
            hidden_size: DIM as u32,
            prefix_tokens: 0,
            output: String::new(),
            inputs: BTreeMap::new(),
            image: serde_json::Value::Null,
        },
        views: ViewPlan { long_side_px: SIDE * PATCH_PX, tiles: None, pyramid: false },
        preparation: PreparationEntry {
            spec: "none".to_owned(),
            fitted_on: String::new(),
            digest: String::new(),
            file: None,
        },
        vectors: "f32".to_owned(),
        dim: DIM as u32,
        graph: None,
        segments: segments.iter().enumerate().map(listed).collect(),
        rejects: FileEntry { name: "rejects.jsonl".to_owned(), bytes: 0, digest: String::new() },
        source: String::new(),
    };
    storage::write_atomic(&folder.path().join(MANIFEST_NAME), &manifest.to_bytes()).unwrap();
    Collection::open(folder.path()).unwrap()
}

fn ask(collection: &Collection, scope: &Scope, shows: f32, plan: &Plan) -> Answer {
    execute(collection, scope, &subject(shows), plan, &Patience::default()).unwrap()
}

fn images(answer: &Answer) -> Vec<&str> {
    answer.hits.iter().map(|hit| hit.image.as_str()).collect()
}

const FIRST: [Shown<'_>; 5] = [("a", 1.0), ("b", 2.0), ("c", 1.0), ("d", 3.0), ("e", 1.0)];
const SECOND: [Shown<'_>; 4] = [("f", 4.0), ("g", 1.0), ("h", 4.0), ("i", 5.0)];

proptest! {
    #[test]
    fn a_query_finds_all_that_is_in_scope_under_its_own_name_and_nothing_else(
        first in proptest::collection::vec(any::<bool>(), FIRST.len()),
        second in proptest::collection::vec(any::<bool>(), SECOND.len()),
    ) {
        static COLLECTION: OnceLock<Collection> = OnceLock::new();
        let collection = COLLECTION.get_or_init(|| collection(&[&FIRST, &SECOND]));
        let inside: Vec<Shown<'_>> = FIRST.iter().zip(&first).chain(SECOND.iter().zip(&second))
            .filter_map(|(shown, inside)| inside.then_some(*shown))
            .collect();
        let scope = Scope::of(vec![first, second]);
        let answer = ask(collection, &scope, 1.0, &Plan { top: 100, ..Plan::default() });
        prop_assert_eq!(answer.searched_images, inside.len());
        let names: BTreeSet<&str> = inside.iter().map(|(name, _)| *name).collect();
        prop_assert!(images(&answer).iter().all(|name| names.contains(name)), "{:?}", images(&answer));
        let same: Vec<&str> = inside.iter().filter(|(_, shows)| *shows == 1.0).map(|(name, _)| *name).collect();
        prop_assert_eq!(&images(&answer)[..same.len()], &same[..]);
        for (hit, evidence) in answer.hits.iter().zip(&answer.evidence) {
            prop_assert_eq!(hit.image.as_bytes(), &evidence.path[..]);
            prop_assert_eq!(&hit.id[..], &blake3::Hash::from_bytes(evidence.content).to_hex()[..16]);
        }
    }
}

#[test]
fn an_empty_scope_gives_no_hits() {
    let collection = collection(&[&FIRST, &SECOND]);
    let answer = ask(&collection, &Scope::of(vec![]), 1.0, &Plan::default());
    assert_eq!((answer.hits.len(), answer.evidence.len(), answer.searched_images), (0, 0, 0));
    assert_eq!(Scope::all(&collection).count(), FIRST.len() + SECOND.len());
}

#[test]
fn a_condition_changes_no_score() {
    let names: Vec<String> = (0..150).map(|at| format!("{at:03}")).collect();
    let all: Vec<Shown<'_>> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at as f32)).collect();
    let collection = collection(&[&all]);
    // What is found with confidence, and looked for as well, depends on what may be found.
    let plan = Plan { top: 1000, expansions: 0, neighbours: 10_000, ..Plan::default() };
    let every = ask(&collection, &Scope::all(&collection), 7.3, &plan);
    for scope in [5..75, 5..15, 7..8] {
        let inside = Scope::of(vec![(0..all.len()).map(|at| scope.contains(&at)).collect()]);
        let asked = ask(&collection, &inside, 7.3, &plan);
        let expected = every.hits.iter().filter(|hit| names[scope.clone()].contains(&hit.image));
        let scores = |hit: &Hit| (hit.image.clone(), hit.bbox, hit.scores);
        assert_eq!(
            asked.hits.iter().map(scores).collect::<Vec<_>>(),
            expected.map(scores).collect::<Vec<_>>()
        );
        assert_eq!(asked.hits[0].image, "007");
    }
}

#[test]
fn what_is_found_with_confidence_is_looked_for_as_well() {
    // Each is nearer to the next than to the others.
    let names: Vec<String> = (0..40).map(|at| format!("{at:03}")).collect();
    let mut all: Vec<Shown<'_>> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), 100.0 + at as f32)).collect();
    all.extend([("near", 7.25), ("far", 7.75)]);
    let collection = collection(&[&all]);
    let asked =
        |expansions| ask(&collection, &Scope::all(&collection), 7.0, &Plan { expansions, ..Plan::default() });
    let (plain, expanded) = (asked(0), asked(3));
    assert_eq!((plain.query.expanded, images(&plain)[..2].to_vec()), (0, vec!["near", "far"]));
    assert!((1..=3).contains(&expanded.query.expanded), "{}", expanded.query.expanded);
    assert_eq!(images(&expanded)[..2], ["near", "far"]);
    // A look says nothing about the image that it comes from.
    assert!(expanded.hits[0].score < 0.99, "{}", expanded.hits[0].score);
}

#[test]
fn what_is_not_meant_is_not_found() {
    // Two variants of one motif, each nearer to itself than to the other.
    let collection = collection(&[&[("this", 7.25), ("that", 7.5), ("a", 1.0), ("b", 2.0), ("c", 3.0)]]);
    let scope = Scope::all(&collection);
    let asked = |unlike: Vec<f32>| {
        let subject = Subject { unlike, ..subject(7.25) };
        let answer = execute(&collection, &scope, &subject, &Plan::default(), &Patience::default()).unwrap();
        let score =
            |name: &str| answer.hits.iter().find(|hit| hit.image == name).map_or(0.0, |hit| hit.score);
        [score("this"), score("that")]
    };
    let ([this, that], [still, less]) = (asked(Vec::new()), asked(vectors(7.5)));
    assert!(this > 0.99 && still > 0.9, "{this} {still}");
    assert!(that > 0.3 && less < 0.01, "{that} {less}");
}

#[test]
fn a_turned_thing_is_found_with_the_matches_in_the_frame_of_the_query() {
    let collection = collection(&[&FIRST, &SECOND]);
    let (side, pose) = (SIDE * PATCH_PX, Pose { is_mirrored: true, quarter_turns: 1 });
    let posed = Posed { pose, width: side, height: side };
    // As the model would see the mirrored and turned query image: what it shows upright is a turned "f".
    let looks = [Pose::default(), pose].map(|pose| {
        let marked = Marked::new(&grid().area, None, (side, side), pose);
        let view = QueryView { area: grid().area, zoom: 1.0 };
        let shows = if pose == Pose::default() { 9.0 } else { 4.0 };
        let seen = SeenView { view, grid: grid(), vectors: vectors(shows), dim: DIM, artefacts: Vec::new() };
        QueryTokens::select(marked, &seen, 256)
    });
    let subject = Subject { image: "q".to_owned(), looks: looks.to_vec(), unlike: Vec::new() };
    let answer =
        execute(&collection, &Scope::all(&collection), &subject, &Plan::default(), &Patience::default())
            .unwrap();
    assert_eq!(images(&answer)[..2], ["f", "h"]);
    assert_eq!((answer.query.bbox, answer.query.boxes.len()), (grid().area, 0));
    let matches = &answer.hits[0].matches;
    assert_eq!(matches.len(), 16);
    assert!(matches.iter().all(|found| posed.back(&found.patch_box) == found.query_box), "{matches:?}");
}

#[test]
fn an_image_of_the_collection_is_asked_by_its_path_or_id_and_finds_its_like() {
    let collection = collection(&[&FIRST, &SECOND]);
    let scope = Scope::all(&collection);
    let stored = |named: &str, boxes: &[Bbox], unlike: &[Bbox]| {
        let image = stored_image(&collection, named)?;
        Subject::stored(&collection, &image, boxes, unlike, &Plan::default())
    };
    let by_path = stored("f", &[], &[]).unwrap();
    let answer = execute(&collection, &scope, &by_path, &Plan::default(), &Patience::default()).unwrap();
    assert_eq!(images(&answer)[..2], ["f", "h"]);
    assert!(answer.hits[1].score > 0.99 && answer.query.image == "f");
    let by_id = stored(&answer.hits[0].id, &[], &[]).unwrap();
    assert_eq!((by_id.looks, by_id.image), (by_path.looks, by_path.image));
    let part = stored("f", &[Bbox::new(0.0, 0.0, 20.0, 10.0)], &[Bbox::new(20.0, 0.0, 10.0, 10.0)]).unwrap();
    assert_eq!((part.looks[0].len(), part.unlike.len()), (2, DIM));
    for (named, boxes, kind) in
        [("no", vec![], "no image 'no'"), ("f", vec![Bbox::new(90.0, 0.0, 5.0, 5.0)], "outside")]
    {
        let error = stored(named, &boxes, &[]).unwrap_err().to_string();
        assert!(error.contains(kind), "{error}");
    }
}

#[test]
fn hits_are_as_likely_as_they_stand_out() {
    let names: Vec<String> = (0..150).map(|at| format!("{at:03}")).collect();
    let mut all: Vec<Shown<'_>> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at as f32)).collect();
    all.push(("near", 7.25));
    let collection = collection(&[&all]);
    let asked = |min_probability| {
        let plan = Plan { top: 100, expansions: 0, min_probability, ..Plan::default() };
        ask(&collection, &Scope::all(&collection), 7.0, &plan)
    };
    let every = asked(0.0);
    assert!(every.hits.is_sorted_by(|a, b| a.probability >= b.probability));
    let [first, second, third] = [0, 1, 2].map(|at| every.hits[at].probability);
    assert!(first > 0.9 && second > third, "{first} {second} {third}");
    assert_eq!(images(&asked(second)), ["007", "near"]);
    assert!(asked(1.0).hits.is_empty());
}

#[test]
fn a_time_budget_that_is_over_gives_what_there_is_and_says_so() {
    let collection = collection(&[&FIRST, &SECOND]);
    let scope = Scope::all(&collection);
    let cut = ask(&collection, &scope, 1.0, &Plan { time_budget_ms: Some(0), ..Plan::default() });
    assert!(cut.is_cut && cut.query.expanded == 0);
    assert_eq!(images(&cut)[0], images(&ask(&collection, &scope, 1.0, &Plan::default()))[0]);
    let whole = ask(&collection, &scope, 1.0, &Plan { time_budget_ms: Some(60_000), ..Plan::default() });
    assert!(!whole.is_cut && !whole.hits.is_empty());
}

#[test]
fn images_that_there_is_no_time_to_look_at_have_the_place_that_was_proposed() {
    let names: Vec<String> = (0..40).map(|at| format!("{at:02}")).collect();
    let images: Vec<Shown<'_>> =
        names.iter().zip(0u16..).map(|(name, at)| (&name[..], 1.0 + f32::from(at) / 64.0)).collect();
    let collection = collection(&[&images]);
    let (plan, patient) = (Plan::default(), Patience::default());
    let searched =
        RowSearch::of(&collection, &Scope::all(&collection), Thoroughness::Exact, &patient).unwrap();
    let mut candidates = Candidates::among(&searched, &[]);
    candidates.look_for(vec![(tokens(1.0), None)], &searched, &plan).unwrap();
    // What was seen in an image proposes as well.
    candidates.look_for(vec![(tokens(1.0), Some(0))], &searched, &plan).unwrap();
    let late = patient.at_most(Some(Instant::now()));
    let found = |patience| {
        let [proposing, places] = [&patient, patience].map(|patience| Places {
            plan: &plan,
            patience,
            is_cut: AtomicBool::new(false),
        });
        let proposed = proposing.proposed(&candidates, 40, 40);
        (places.found(&proposed, &candidates.looks), places.is_cut.into_inner())
    };
    let ((whole, is_whole_cut), (hurried, is_cut)) = (found(&patient), found(&late));
    assert!(is_cut && !is_whole_cut);
    assert_eq!((whole.len(), hurried.len()), (40, 40));
    for (at, (whole, hurried)) in whole.iter().zip(&hurried).enumerate() {
        assert_eq!((whole[0].look, hurried[0].look), (0, 0), "the query's own is shown");
        let (whole, hurried) = (&whole[0].hit, &hurried[0].hit);
        assert!(whole.image == hurried.image && whole.bbox.iou(&hurried.bbox) > 0.9, "{hurried:?}");
        assert_eq!(hurried.matches.is_empty(), at >= 8, "{at}");
    }
}

#[test]
fn what_nobody_waits_for_has_no_answer() {
    let collection = collection(&[&FIRST, &SECOND]);
    let patience = Patience::default();
    patience.give_up();
    let answer = execute(&collection, &Scope::all(&collection), &subject(1.0), &Plan::default(), &patience);
    assert!(matches!(answer, Err(QueryError::GivenUp)), "{answer:?}");
}

#[test]
fn a_crop_asks_for_cosines() {
    for metric in ["dot", "l2"] {
        let collection = collection_by(metric, &[&FIRST, &SECOND]);
        let (scope, patience) = (Scope::all(&collection), Patience::default());
        let answer = execute(&collection, &scope, &subject(1.0), &Plan::default(), &patience);
        let error = answer.unwrap_err().to_string();
        assert!(error.contains(metric) && error.contains("--metric cosine"), "{error}");
    }
}

#[test]
fn as_many_images_are_looked_at_as_are_asked_for() {
    let plan = Plan { neighbours: 100_000, expansions: 0, ..Plan::default() };
    let names: Vec<String> = (0..plan.proposed + 20).map(|at| format!("{at:04}")).collect();
    let images: Vec<Shown<'_>> = names.iter().zip(1u16..).map(|(name, at)| (&name[..], at.into())).collect();
    let collection = collection(&[&images]);
    let found = |top| ask(&collection, &Scope::all(&collection), 1.0, &Plan { top, ..plan.clone() }).hits;
    let named = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.image).collect::<HashSet<String>>().len();
    assert_eq!(named(found(10_000)), images.len());
}

#[test]
fn no_cosine_is_reported_above_one() {
    let collection = collection(&[&FIRST, &SECOND]);
    for shows in 1..6 {
        let plan = Plan { heat_maps: true, ..Plan::default() };
        let answer = ask(&collection, &Scope::all(&collection), shows as f32, &plan);
        let heat = answer.evidence.iter().flat_map(|evidence| &evidence.similarity);
        assert!(heat.clone().count() > 0 && heat.clone().all(|value| *value <= 1.0));
        for hit in &answer.hits {
            let scores = [hit.score, hit.scores.vote, hit.scores.maxsim, hit.scores.geometry];
            let matches = hit.matches.iter().map(|found| found.similarity);
            assert!(scores.into_iter().chain(matches).all(|value| value <= 1.0), "{hit:?}");
        }
        assert!(answer.hits[0].score > 0.999);
    }
}

#[test]
fn nearly_equal_images_are_one_hit_across_segments_and_top_counts_groups() {
    let first = [("a", 1.0), ("b", 2.0), ("c", 1.0), ("d", 3.0), ("e", 1.0625)];
    let second = [("f", 2.0625), ("g", 1.0), ("h", 4.0)];
    let collection = collection(&[&first, &second]);
    let scope = Scope::all(&collection);
    let plain = Plan { top: 100, ..Plan::default() };
    let grouped =
        |top| ask(&collection, &scope, 1.0, &Plan { top, group_duplicates: true, ..Plan::default() });
    let every = ask(&collection, &scope, 1.0, &plain);
    assert!(every.hits.iter().all(|hit| hit.duplicates.is_empty()));
    let answer = grouped(100);
    assert_eq!(
        (answer.hits[0].image.as_str(), &answer.hits[0].duplicates[..]),
        ("a", &["c", "g", "e"].map(str::to_owned)[..])
    );
    let twos = answer.hits.iter().find(|hit| ["b", "f"].contains(&hit.image.as_str())).unwrap();
    assert_eq!(twos.duplicates.len(), 1);
    assert_eq!(answer.hits.len(), 4);
    let ranks: Vec<usize> = answer.hits.iter().map(|hit| hit.rank).collect();
    assert_eq!(ranks, [1, 2, 3, 4]);
    assert_eq!(grouped(2).hits[..], answer.hits[..2], "groups are complete whatever top is");
}
