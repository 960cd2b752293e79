//! Storage that refuses every write, sync and rename in turn: whichever it is, a collection is what it was or what it
//! was to become, and the same command ends with the bytes of an undisturbed run.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // the tests make the images they index

mod states;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use patchdex::collection::{
    CompactOptions, Selection, compact, merge, prepare, read_manifest, remove, repair,
};
use patchdex::dims::Source;
use patchdex::ingest::{IndexOptions, IngestError, MetadataFile, Sources, Status, index};
use patchdex::storage::fault;
use states::{
    State, add_of, assert_same, assert_sound, copy, files, folder, index_of, model, options, state,
};
use tempfile::TempDir;

/// What is refused is refused in the whole process: one test at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Images, and collections of them.
struct Bench {
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new() -> Self {
        let alone = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Self { folder: tempfile::tempdir().unwrap(), _alone: alone }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes pictures by name and seed.
    fn pictures(&self, pictures: &[(&str, u32)]) {
        for &(name, seed) in pictures {
            states::write(&self.at("images").join(name), &states::picture(seed), u64::from(seed));
        }
    }

    fn images(&self) -> Sources {
        folder(&self.at("images"))
    }

    /// A collection `start` of two segments, a copy and a file that is no image.
    fn collection(&self, choose: impl Fn(IndexOptions) -> IndexOptions) -> PathBuf {
        let start = self.at("start");
        let options = choose(options(&start));
        self.pictures(&[("a.png", 1), ("b.png", 2), ("c/a.png", 1)]);
        states::write(&self.at("images/broken.png"), b"no picture", 1);
        index_of(&self.images(), &options).unwrap();
        self.pictures(&[("b2.png", 3), ("d.png", 4), ("e.png", 5)]);
        add_of(&self.images(), &options).unwrap();
        start
    }

    /// Lets each operation of `run` on a copy of `start` fail, alone and with all after it. `done` says whether the
    /// refusal of a command whose commit stands already is one that is to be expected.
    fn each_fails(
        &self,
        start: &Path,
        least: usize,
        run: &dyn Fn(&Path) -> Result<(), String>,
        done: fn(&str) -> bool,
    ) {
        let whole = self.at("undisturbed");
        copy(start, &whole);
        let before = seen(&whole);
        fault::arm(usize::MAX, false);
        let outcome = run(&whole);
        let count = fault::disarm();
        outcome.unwrap();
        assert!(count >= least, "only {count} operations");
        let (expected, after) = (files(&whole), seen(&whole));
        assert_sound(&whole, "undisturbed");
        assert_ne!(before, after, "an undisturbed run commits");
        let (mut refused, mut stood) = (0, 0);
        for (at, lasting) in (1..=count).flat_map(|at| [(at, false), (at, true)]) {
            let case = format!("operation {at} of {count}{}", if lasting { " and all after it" } else { "" });
            let out = self.at("trial");
            copy(start, &out);
            fault::arm(at, lasting);
            let outcome = run(&out);
            let asked = fault::disarm();
            assert!(asked >= at, "{case}: it was never asked for");
            let found = seen(&out);
            match &outcome {
                Ok(()) => assert_eq!(found, after, "{case}: done, and it is not"),
                Err(message) => {
                    refused += 1;
                    assert!(message.contains(self.folder.path().to_str().unwrap()), "{case}: {message}");
                    // What was damaged may be less so.
                    let is_mended = matches!((&before, &found), (Seen::Damaged(_), Seen::Damaged(_)));
                    assert!(found == before || found == after || is_mended, "{case}: {message}\n{found:?}");
                }
            }
            if matches!(found, Seen::Is(_)) {
                assert_sound(&out, &case);
            }
            stood += usize::from(found == after);
            match run(&out) {
                Ok(()) => {}
                Err(message) => assert!(found == after && done(&message), "{case}, again: {message}"),
            }
            assert_eq!(seen(&out), after, "{case}, again");
            assert_same(&out, &expected, &case);
        }
        assert!(refused >= count, "{refused} of {count} operations are needed");
        assert!(stood < 2 * count);
    }
}

/// What a reader makes of a folder.
#[derive(Debug, PartialEq)]
enum Seen {
    Nothing,
    Is(State),
    /// It cannot be read; its files, by what they hold.
    Damaged(String),
}

fn seen(path: &Path) -> Seen {
    match state(path) {
        Ok(None) => Seen::Nothing,
        Ok(Some(state)) => match patchdex::collection::verify(path, patchdex::segment::Depth::Full) {
            Ok(report) if report.damage.is_empty() => Seen::Is(state),
            found => Seen::Damaged(format!("{found:?}").replace(&*path.to_string_lossy(), "")),
        },
        Err(error) => Seen::Damaged(error.to_string().replace(&*path.to_string_lossy(), "")),
    }
}

fn never(_: &str) -> bool {
    false
}

fn told<T>(outcome: Result<T, impl std::fmt::Display>) -> Result<(), String> {
    outcome.map(|_| ()).map_err(|error| error.to_string())
}

fn indexes(keep_raw: bool, prepare: &str) {
    let bench = Bench::new();
    bench.pictures(&[("a.png", 1), ("b.png", 2), ("c/a.png", 1), ("d.png", 3)]);
    states::write(&bench.at("images/broken.png"), b"no picture", 1);
    let prepare: Source = prepare.parse().unwrap();
    let run = |out: &Path| {
        let options = IndexOptions { keep_raw, prepare: prepare.clone(), ..options(out) };
        told(index_of(&bench.images(), &options))
    };
    bench.each_fails(&bench.at("nothing"), 40, &run, never);
}

#[test]
fn an_index_is_whole_or_not_there() {
    indexes(false, "none");
}

#[test]
fn an_index_with_raw_tokens_and_a_fitted_map_is_whole_or_not_there() {
    indexes(true, "pca:4");
}

#[test]
fn an_index_that_is_stopped_while_its_graph_is_built_goes_on() {
    let bench = Bench::new();
    bench.pictures(&[("a.png", 1), ("b.png", 2), ("c.png", 3)]);
    let (whole, out) = (bench.at("whole"), bench.at("out"));
    index_of(&bench.images(), &options(&whole)).unwrap();
    for least in [0, 20] {
        let stop = AtomicBool::new(false);
        let mut watch = |status: &Status| {
            let is_reached = status.graphs.is_some_and(|graphs| graphs.vectors >= least);
            stop.fetch_or(is_reached, Ordering::Relaxed);
        };
        let stopped = index(&bench.images(), model(), &options(&out), &stop, &mut watch);
        assert!(matches!(stopped, Err(IngestError::Interrupted { done: 3, images: 3 })), "{stopped:?}");
        assert_eq!(seen(&out), Seen::Nothing);
    }
    assert_eq!(index_of(&bench.images(), &options(&out)).unwrap().embedded_views, 0);
    assert_same(&out, &files(&whole), "stopped");
}

/// Every kind of change: new, copied, moved, changed, gone, broken, sound again.
fn adds(choose: fn(IndexOptions) -> IndexOptions) {
    let bench = Bench::new();
    let start = bench.collection(choose);
    let images = bench.at("images");
    fs::remove_file(images.join("e.png")).unwrap();
    fs::rename(images.join("d.png"), images.join("c/moved.png")).unwrap();
    bench.pictures(&[("b.png", 12), ("new.png", 13), ("copy.png", 3), ("broken.png", 14), ("twin.png", 13)]);
    states::write(&images.join("a.png"), b"no picture any more", 40);
    let run = |out: &Path| told(add_of(&bench.images(), &options(out)));
    bench.each_fails(&start, 40, &run, never);
    let added = state(&bench.at("undisturbed")).unwrap().unwrap();
    let expected = [
        "a.png",
        "b.png",
        "b2.png",
        "broken.png",
        "c/a.png",
        "c/moved.png",
        "copy.png",
        "e.png",
        "new.png",
        "twin.png",
    ];
    assert_eq!(added.images.keys().collect::<Vec<_>>(), expected);
}

#[test]
fn an_addition_is_whole_or_not_there() {
    adds(|options| options);
}

#[test]
fn an_addition_with_raw_tokens_is_whole_or_not_there() {
    adds(|options| IndexOptions { keep_raw: true, prepare: "remove:1".parse().unwrap(), ..options });
}

#[test]
fn an_addition_of_metadata_is_whole_or_not_there() {
    let bench = Bench::new();
    let start = bench.collection(|options| options);
    let table = bench.at("said.csv");
    fs::write(&table, "image,place,year\na.png,Rome,1960\ne.png,Oslo,1999\n").unwrap();
    let metadata = Some(Arc::new(MetadataFile::read(&table).unwrap()));
    let sources = Sources { root: read_manifest(&start).unwrap().root.into(), ..Sources::default() };
    let run =
        |out: &Path| told(add_of(&sources, &IndexOptions { metadata: metadata.clone(), ..options(out) }));
    bench.each_fails(&start, 30, &run, never);
}

#[test]
fn a_removal_is_whole_or_not_there() {
    let bench = Bench::new();
    let start = bench.collection(|options| options);
    let selection = Selection {
        patterns: vec!["a.png".to_owned(), "b2.png".to_owned(), "d.png".to_owned()],
        ..Selection::default()
    };
    let run = |out: &Path| told(remove(out, &selection, false));
    bench.each_fails(&start, 18, &run, |message| message.contains("no image of"));
}

#[test]
fn work_that_is_published_is_in_nobodys_way() {
    let bench = Bench::new();
    let start = bench.collection(|options| options);
    bench.pictures(&[("new.png", 7)]);
    states::write(&bench.at("others/z.png"), &states::picture(8), 8);
    let add = |out: &Path, images: &Path| add_of(&folder(images), &options(out));
    let (images, others) = (bench.at("images"), bench.at("others"));
    let whole = bench.at("whole");
    copy(&start, &whole);
    fault::arm(usize::MAX, false);
    add(&whole, &images).unwrap();
    let count = fault::disarm();
    let after = state(&whole).unwrap();
    let (mut left, mut kept) = (0, 0);
    for at in 1..=count {
        let out = bench.at("trial");
        copy(&start, &out);
        fault::arm(at, true);
        let _ = add(&out, &images);
        fault::disarm();
        let (stood, is_left) = (state(&out).unwrap() == after, out.join("building/source").exists());
        let outcome = add(&out, &others);
        match outcome {
            Ok(_) => left += usize::from(stood && is_left),
            Err(error) => {
                assert!(!stood && is_left, "operation {at} of {count}: {error}");
                kept += 1;
            }
        }
    }
    assert!(left > 0 && kept > 0, "{left} published, {kept} not");
}

#[test]
fn a_removal_of_all_is_whole_or_not_there() {
    for (keep_raw, least) in [(false, 8), (true, 20)] {
        let bench = Bench::new();
        let start = bench.collection(|options| IndexOptions { keep_raw, ..options });
        let selection = Selection { patterns: vec!["**/*".to_owned()], ..Selection::default() };
        let run = |out: &Path| told(remove(out, &selection, false));
        bench.each_fails(&start, least, &run, |message| message.contains("no image of"));
    }
}

#[test]
fn a_compaction_is_whole_or_not_there() {
    let bench = Bench::new();
    let start = bench.collection(|options| IndexOptions { keep_raw: true, ..options });
    let selection = Selection { patterns: vec!["b.png".to_owned()], ..Selection::default() };
    remove(&start, &selection, false).unwrap();
    let run = |out: &Path| told(compact(out, CompactOptions::ALL, &mut |_| {}));
    bench.each_fails(&start, 25, &run, never);
}

fn merges(prepare: Option<&str>) {
    let bench = Bench::new();
    let first = bench.collection(|options| IndexOptions { keep_raw: true, ..options });
    let second = bench.at("second");
    bench.pictures(&[("c/a.png", 21), ("c/z.png", 22)]);
    let other = IndexOptions { keep_raw: true, ..options(&second) };
    index_of(&folder(&bench.at("images/c")), &other).unwrap();
    let prepare: Option<Source> = prepare.map(|text| text.parse().unwrap());
    let run = |out: &Path| told(merge(out, &[first.clone(), second.clone()], prepare.as_ref(), &mut |_| {}));
    bench.each_fails(&bench.at("nothing"), 30, &run, never);
}

#[test]
fn a_merge_is_whole_or_not_there() {
    merges(None);
}

#[test]
fn a_merge_with_a_fitted_map_is_whole_or_not_there() {
    merges(Some("pca:4"));
}

#[test]
fn other_vectors_are_all_there_or_not_at_all() {
    let bench = Bench::new();
    let start = bench.collection(|options| IndexOptions { keep_raw: true, ..options });
    let source: Source = "whiten".parse().unwrap();
    let run = |out: &Path| told(prepare(out, &source, &mut |_| ()));
    bench.each_fails(&start, 25, &run, never);
}

/// Repairs a collection with raw tokens and metadata that `damage` was done to.
fn repairs(least: usize, damage: &dyn Fn(&Path)) -> BTreeMap<PathBuf, Vec<u8>> {
    let bench = Bench::new();
    let table = bench.at("said.csv");
    fs::write(&table, "image,place\na.png,Rome\ne.png,Oslo\n").unwrap();
    let metadata = Some(Arc::new(MetadataFile::read(&table).unwrap()));
    let start = bench.collection(|options| IndexOptions {
        keep_raw: true,
        prepare: "remove:1".parse().unwrap(),
        metadata: metadata.clone(),
        ..options
    });
    damage(&start);
    let run = |out: &Path| told(repair(out, &mut |_| ()));
    bench.each_fails(&start, least, &run, never);
    files(&bench.at("undisturbed"))
}

fn flip(path: PathBuf) {
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_repair_of_the_manifest_can_be_repeated() {
    let repaired = repairs(6, &|start| fs::write(start.join("manifest.json"), "{").unwrap());
    assert_eq!(repaired[Path::new("quarantine/manifest-2.json")], b"{");
}

#[test]
fn a_repair_of_graphs_can_be_repeated() {
    let repaired = repairs(10, &|start| {
        flip(start.join("segments/000001/graph.pdx"));
        fs::remove_file(start.join("segments/000002/graph.pdx")).unwrap();
    });
    assert!(repaired.contains_key(Path::new("quarantine/000001/graph.pdx")));
    for name in ["000001/graph-3.pdx", "000002/graph-3.pdx"] {
        assert!(repaired.contains_key(&Path::new("segments").join(name)), "{name}: {:?}", repaired.keys());
    }
}

#[test]
fn a_repair_of_everything_at_once_can_be_repeated() {
    let repaired = repairs(30, &|start| {
        fs::write(start.join("manifest.json"), "{").unwrap();
        fs::write(start.join("rejects.jsonl"), "?").unwrap();
        flip(start.join("segments/000001/vectors.pdx"));
        flip(start.join("segments/000001/metadata.pdx"));
        flip(start.join("segments/000002/raw.pdx"));
    });
    for name in
        ["manifest-2.json", "rejects.jsonl", "000001/vectors.pdx", "000001/metadata.pdx", "000002/raw.pdx"]
    {
        assert!(repaired.contains_key(&Path::new("quarantine").join(name)), "{name} is kept");
    }
}

#[test]
fn a_repair_that_gives_a_segment_up_can_be_repeated() {
    let repaired = repairs(12, &|start| flip(start.join("segments/000001/images.pdx")));
    assert!(repaired.contains_key(Path::new("quarantine/000001/images.pdx")));
    assert!(repaired.contains_key(Path::new("quarantine/000001/raw.pdx")));
}

#[test]
fn a_copy_of_the_manifest_is_never_of_a_commit_that_was_swept() {
    let bench = Bench::new();
    let start = bench.collection(|options| options);
    let selection = Selection { patterns: vec!["a.png".to_owned()], ..Selection::default() };
    let whole = bench.at("whole");
    copy(&start, &whole);
    fault::arm(usize::MAX, false);
    remove(&whole, &selection, false).unwrap();
    let count = fault::disarm();
    let mut ahead = 0;
    for at in 1..=count {
        let out = bench.at("trial");
        copy(&start, &out);
        let before = state(&out).unwrap();
        fault::arm(at, true);
        let _ = remove(&out, &selection, false);
        fault::disarm();
        let found = state(&out).unwrap();
        ahead += usize::from(
            found == before
                && fs::read(out.join("manifest.json")).unwrap()
                    != fs::read(out.join("manifest.backup.json")).unwrap(),
        );
        // The next writer sweeps, and changes nothing.
        remove(&out, &Selection { missing: true, ..Selection::default() }, false).unwrap();
        fs::remove_file(out.join("manifest.json")).unwrap();
        let repaired = repair(&out, &mut |_| ()).unwrap();
        assert!(repaired.lost.is_empty(), "operation {at} of {count}: {:?}", repaired.lost);
        assert_eq!(state(&out).unwrap(), found, "operation {at} of {count}");
    }
    assert!(ahead > 0, "the copy was written and the manifest was not");
}
