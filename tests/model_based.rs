//! A collection against a plain map from paths to contents: whatever is added, changed, moved, removed, merged, compacted
//! and prepared in whatever order, it lists what the map lists and finds what comparing every patch finds.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // the tests make the images they index

mod states;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use half::f16;
use patchdex::collection::{
    Collection, CollectionError, CompactOptions, Selection, compact, merge, prepare, remove,
};
use patchdex::dims::{Preparation, Source};
use patchdex::index::{DEFAULT_EF, ExactIndex, PatchIndex, RowKind, Rows, Vectors};
use patchdex::ingest::{Addition, IndexOptions, IngestError, MetadataFile, Sources, Status, add};
use patchdex::metric::METRICS;
use patchdex::segment::{FileRole, RowEncoding};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use states::{add_of, assert_sound, files, folder, index_of, options};
use tempfile::TempDir;

const NAMES: [&str; 7] = ["a.png", "b.png", "d/a.png", "d/b.png", "d/e/c.png", "m/a.png", "m/b.png"];
const PARTS: [&str; 4] = ["d", "d/e", "m", "a.png"];
const PATTERNS: [&str; 6] = ["d", "d/*.png", "**/a.png", "m/", "**/*", "d/e/?.png"];
const MAPS: [&str; 5] = ["none", "centre", "pca:4", "whiten", "remove:1"];
/// So few contents that copies are common.
const CONTENTS: u32 = 6;
const FOUND: usize = 10;

/// What happens; a number names a path, pattern, map or content.
#[derive(Clone, Debug)]
enum Step {
    /// A file gets a content, whether it is new or not.
    Write(usize, u32),
    Copy(usize, usize),
    Move(usize, usize),
    /// A file is no image any more.
    Break(usize),
    /// A file gets a new date.
    Touch(usize),
    Delete(usize),
    Add,
    /// Only what lies here is looked at.
    AddPart(usize),
    /// An addition that is stopped after so many images.
    Interrupt(usize),
    /// Something is said about a path.
    Say(usize, u32),
    RemoveMissing,
    RemoveContent(u32),
    Remove(usize),
    RemovePattern(usize),
    /// With a collection of the folder `m`, in which a file gets a content before; the vectors are made anew perhaps.
    Merge(u32, Option<usize>),
    Compact(bool),
    Prepare(usize),
    /// The collection is opened, and stays open to the end.
    Keep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..NAMES.len();
    let step = prop_oneof![
        4 => (name(), 0..CONTENTS).prop_map(|(name, content)| Step::Write(name, content)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Copy(from, to)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Move(from, to)),
        1 => name().prop_map(Step::Break),
        1 => name().prop_map(Step::Touch),
        2 => name().prop_map(Step::Delete),
        6 => Just(Step::Add),
        2 => (0..PARTS.len()).prop_map(Step::AddPart),
        2 => (0..3usize).prop_map(Step::Interrupt),
        2 => (name(), 0..3u32).prop_map(|(name, value)| Step::Say(name, value)),
        1 => (0..CONTENTS).prop_map(Step::RemoveContent),
        1 => Just(Step::RemoveMissing),
        2 => name().prop_map(Step::Remove),
        1 => (0..PATTERNS.len()).prop_map(Step::RemovePattern),
        1 => (0..CONTENTS, prop::option::weighted(0.3, 0..MAPS.len())).prop_map(|(c, map)| Step::Merge(c, map)),
        3 => any::<bool>().prop_map(Step::Compact),
        2 => (0..MAPS.len()).prop_map(Step::Prepare),
        2 => Just(Step::Keep),
    ];
    prop::collection::vec(step, 4..24)
}

/// A content with its date, or none where a file is no image.
type Held = (Option<u32>, u64);

/// A found patch: similarity, path, number in the image.
type Found = (f32, String, usize);

struct Bench {
    folder: TempDir,
    keep_raw: bool,
    rows: RowKind,
    /// What lies in the folder of images.
    disk: BTreeMap<String, Held>,
    /// What the collection lists: content and date.
    listed: BTreeMap<String, (u32, u64)>,
    /// What was said about what is listed.
    said: BTreeMap<String, u32>,
    rejects: BTreeSet<String>,
    preparation: Preparation,
    /// The collection; a merge makes another one.
    current: PathBuf,
    made: usize,
    clock: u64,
    query: Vec<f32>,
    /// Collections that stay open, and what they answered.
    kept: Vec<(Collection, Vec<Found>)>,
}

/// The model's own tokens of a content, embedded once.
fn tokens(content: u32) -> Rc<Vec<f32>> {
    thread_local!(static TOKENS: RefCell<HashMap<u32, Rc<Vec<f32>>>> = RefCell::default());
    let known = TOKENS.with_borrow(|tokens| tokens.get(&content).cloned());
    known.unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        states::write(&folder.path().join("images/one.png"), &states::picture(content), 1);
        let alone = IndexOptions { keep_raw: true, ..options(&folder.path().join("alone")) };
        index_of(&states::folder(&folder.path().join("images")), &alone).unwrap();
        let collection = Collection::open(&alone.out).unwrap();
        let found = Rc::new(collection.segments()[0].raw(8).unwrap().unwrap().to_vec());
        TOKENS.with_borrow_mut(|tokens| tokens.insert(content, Rc::clone(&found)));
        found
    })
}

fn ordered(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1, a.2).cmp(&(&b.1, b.2))));
    found.truncate(FOUND);
    found
}

/// As many numbers of `query` as stored vectors have.
fn asked(query: &[f32], dim: usize) -> &[f32] {
    &query[..dim]
}

/// The best patches that belong to an image, by the exact index of each segment.
fn search(collection: &Collection, query: &[f32]) -> Vec<Found> {
    let mut found = Vec::new();
    for segment in collection.segments() {
        let mut owners: HashMap<u64, Vec<(String, usize)>> = HashMap::new();
        for image in segment.images() {
            let image = image.unwrap();
            let rows = image.views().flat_map(|view| view.first_patch..view.first_patch + view.grid.len());
            for (number, row) in rows.enumerate() {
                owners.entry(row as u64).or_default().push((image.path_text(), number));
            }
        }
        let (vectors, dim) = (segment.vectors(), segment.dim());
        let all = ExactIndex { vectors }.search(asked(query, dim), segment.patch_count(), DEFAULT_EF);
        for neighbour in all {
            let owners = owners.get(&neighbour.row).into_iter().flatten();
            found.extend(owners.map(|(path, number)| (neighbour.similarity, path.clone(), *number)));
        }
    }
    ordered(found)
}

impl Bench {
    fn new(keep_raw: bool, rows: RowKind, query: Vec<f32>, first: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let current = folder.path().join("collection");
        let mut bench = Self {
            folder,
            keep_raw,
            rows,
            disk: BTreeMap::new(),
            listed: BTreeMap::new(),
            said: BTreeMap::new(),
            rejects: BTreeSet::new(),
            preparation: Preparation::none(8),
            current,
            made: 0,
            clock: 0,
            query,
            kept: Vec::new(),
        };
        bench.write("a.png", Some(first));
        index_of(&bench.sources(""), &bench.options(&bench.current)).unwrap();
        bench.listed.insert("a.png".to_owned(), (first, bench.clock));
        bench.check();
        bench
    }

    fn options(&self, out: &Path) -> IndexOptions {
        IndexOptions {
            keep_raw: self.keep_raw,
            vectors: self.rows,
            prepare: "none".parse().unwrap(),
            ..options(out)
        }
    }

    fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    fn write(&mut self, name: &str, content: Option<u32>) {
        self.clock += 1;
        let bytes = content.map_or(b"no picture".to_vec(), states::picture);
        states::write(&self.images().join(name), &bytes, self.clock);
        self.disk.insert(name.to_owned(), (content, self.clock));
    }

    /// A place for one more collection.
    fn next(&mut self) -> PathBuf {
        self.made += 1;
        self.folder.path().join(format!("made-{}", self.made))
    }

    fn opened(&self) -> Collection {
        Collection::open(&self.current).unwrap()
    }

    fn has_raw(&self) -> bool {
        self.opened().keeps_raw()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Write(name, content) => self.write(NAMES[name], Some(content)),
            Step::Break(name) if self.disk.contains_key(NAMES[name]) => self.write(NAMES[name], None),
            Step::Touch(name) => {
                if let Some(&(content, _)) = self.disk.get(NAMES[name]) {
                    self.write(NAMES[name], content);
                }
            }
            Step::Copy(from, to) => {
                if let Some(&(content, _)) = self.disk.get(NAMES[from]) {
                    self.write(NAMES[to], content);
                }
            }
            Step::Move(from, to) if from != to => {
                if let Some(held) = self.disk.remove(NAMES[from]) {
                    let to_path = self.images().join(NAMES[to]);
                    fs::create_dir_all(to_path.parent().unwrap()).unwrap();
                    fs::rename(self.images().join(NAMES[from]), to_path).unwrap();
                    self.disk.insert(NAMES[to].to_owned(), held);
                }
            }
            Step::Delete(name) => {
                if self.disk.remove(NAMES[name]).is_some() {
                    fs::remove_file(self.images().join(NAMES[name])).unwrap();
                }
            }
            Step::Add => self.add(""),
            Step::AddPart(part) if self.images().join(PARTS[part]).exists() => self.add(PARTS[part]),
            Step::Interrupt(images) => self.interrupt(images),
            Step::Say(name, value) => self.say(NAMES[name], value),
            Step::RemoveContent(content) => {
                let id = blake3::hash(&states::picture(content)).to_hex()[..9].to_owned();
                let selection = Selection { ids: vec![id], ..Selection::default() };
                let listed = self.listed.clone();
                self.remove(&selection, |path| listed[path].0 == content);
            }
            Step::RemoveMissing => {
                let selection = Selection { missing: true, ..Selection::default() };
                let disk = self.disk.clone();
                self.remove(&selection, |path| !disk.contains_key(path));
            }
            Step::Remove(name) => {
                let selection = Selection { patterns: vec![NAMES[name].to_owned()], ..Selection::default() };
                self.remove(&selection, |path| path == NAMES[name]);
            }
            Step::RemovePattern(pattern) => {
                let pattern = PATTERNS[pattern];
                let selection = Selection { patterns: vec![pattern.to_owned()], ..Selection::default() };
                let is_meant = |path: &str| match pattern {
                    "d" => path.starts_with("d/"),
                    "d/*.png" => path.starts_with("d/") && path.matches('/').count() == 1,
                    "**/a.png" => path == "a.png" || path.ends_with("/a.png"),
                    "m/" => path.starts_with("m/"),
                    "d/e/?.png" => path == "d/e/c.png",
                    _ => true,
                };
                self.remove(&selection, is_meant);
            }
            Step::Merge(content, map) => self.merge(content, map),
            Step::Compact(all) => {
                let options = if all { CompactOptions::ALL } else { CompactOptions::default() };
                let compaction = compact(&self.current, options, &mut |_| {}).unwrap();
                assert_eq!(compaction.segments, self.opened().segments().len());
                if all {
                    self.check_as_fresh();
                }
            }
            Step::Prepare(map) => self.prepare(MAPS[map]),
            Step::Keep => {
                let collection = self.opened();
                let answer = search(&collection, &self.query);
                self.kept.push((collection, answer));
            }
            Step::Break(_) | Step::Move(..) | Step::AddPart(_) => {}
        }
        self.check();
    }

    /// The sources of an addition of all images, or of a part of them.
    fn sources(&self, part: &str) -> Sources {
        fs::create_dir_all(self.images()).unwrap();
        folder(&self.images().join(part))
    }

    /// Whether a file is in a part.
    fn is_in(part: &str, path: &str) -> bool {
        part.is_empty() || path == part || path.strip_prefix(part).is_some_and(|rest| rest.starts_with('/'))
    }

    fn add(&mut self, part: &str) {
        let before = self.listed.clone();
        let news: Vec<(String, u32, u64)> = self
            .disk
            .iter()
            .filter(|(path, _)| Self::is_in(part, path))
            .filter_map(|(path, &(content, date))| Some((path.clone(), content?, date)))
            .filter(|(path, content, date)| before.get(path) != Some(&(*content, *date)))
            .collect();
        // Which of several lost files of one content was found again, and where, is for the collection to say.
        let mut moved = 0;
        let mut found_again: HashMap<u32, usize> = HashMap::new();
        for (path, content, _) in &news {
            let lost =
                before.iter().filter(|(path, held)| held.0 == *content && !self.disk.contains_key(*path));
            let known = found_again.entry(*content).or_default();
            if !before.contains_key(path) && *known < lost.count() {
                *known += 1;
                moved += 1;
            }
        }
        let with = self.options(&self.current);
        let addition = add_of(&self.sources(part), &with)
            .or_else(|error| match error {
                // Of other images, or before the vectors were prepared otherwise.
                IngestError::Collection(CollectionError::OtherDraft { .. }) => {
                    add_again(&self.sources(part), &with)
                }
                error => Err(error),
            })
            .unwrap();
        let now = said(&self.opened());
        let mut told: HashMap<u32, Vec<Option<u32>>> = HashMap::new();
        for (content, count) in found_again {
            let is_lost = |path: &String, held: &(u32, u64)| {
                held.0 == content && !self.disk.contains_key(path) && !now.contains_key(path)
            };
            let gone: Vec<String> = before
                .iter()
                .filter(|(path, held)| is_lost(path, held))
                .map(|(path, _)| path.clone())
                .collect();
            assert_eq!(gone.len(), count, "files of content {content} that were found again");
            for path in gone {
                self.listed.remove(&path);
                told.entry(content).or_default().push(self.said.remove(&path));
            }
        }
        assert_eq!(addition.moved, moved);
        let is_changed = |path: &String, content| before.get(path).is_some_and(|held| held.0 != content);
        assert_eq!(
            addition.changed,
            news.iter().filter(|(path, content, _)| is_changed(path, *content)).count()
        );
        let added = news.iter().filter(|(path, ..)| !before.contains_key(path)).count();
        assert_eq!(addition.added, added - moved);
        for (path, content, date) in news {
            if !before.contains_key(&path) {
                // One of those that moved, or a copy, about which nothing was said.
                if let Some(told) = told.get_mut(&content) {
                    let found = now.get(&path).copied().flatten();
                    match told.iter().position(|told| *told == found) {
                        Some(at) => drop(told.swap_remove(at)),
                        None => assert_eq!(found, None, "{path} says what another one said"),
                    }
                    if let Some(value) = found {
                        self.said.insert(path.clone(), value);
                    }
                }
            }
            self.listed.insert(path, (content, date));
        }
        assert!(told.values().flatten().all(Option::is_none), "what was said moves along");
        let is_kept = |path: &String| !Self::is_in(part, path) && self.disk.contains_key(path);
        self.rejects.retain(is_kept);
        let broken = self.disk.iter().filter(|(path, held)| held.0.is_none() && Self::is_in(part, path));
        self.rejects.extend(broken.map(|(path, _)| path.clone()));
        let rejects: Vec<&String> = addition.summary.rejects.iter().map(|reject| &reject.path).collect();
        assert_eq!(rejects, self.rejects.iter().collect::<Vec<_>>());
        let again = add_of(&self.sources(part), &with).unwrap();
        assert!(again.summary.unchanged, "there is nothing left to add");
    }

    /// What is embedded waits for the next addition.
    fn interrupt(&mut self, images: usize) {
        let stop = AtomicBool::new(false);
        let with = self.options(&self.current);
        let before = files(&self.current.join("segments"));
        let mut progress = |status: &Status| {
            if status.done >= status.resumed + images || status.stage.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let stopped = add(&self.sources(""), states::model(), &with, false, &stop, &mut progress);
        let error = stopped.err().map(|error| error.to_string());
        assert!(error.is_some(), "it was stopped before the last step");
        assert!(files(&self.current.join("segments")) == before, "nothing is published");
    }

    fn say(&mut self, name: &str, value: u32) {
        self.made += 1;
        let table = self.folder.path().join(format!("said-{}.csv", self.made));
        fs::write(&table, format!("image,number\n{name},{value}\n")).unwrap();
        let metadata = Some(Arc::new(MetadataFile::read(&table).unwrap()));
        let root = self.opened().manifest().root.clone().into();
        let nothing = Sources { root, ..Sources::default() };
        let with = IndexOptions { metadata, ..self.options(&self.current) };
        let addition = add_again(&nothing, &with).unwrap();
        let is_listed = self.listed.contains_key(name);
        assert_eq!(addition.summary.unmatched_metadata, usize::from(!is_listed));
        if is_listed {
            self.said.insert(name.to_owned(), value);
        }
    }

    fn remove(&mut self, selection: &Selection, is_meant: impl Fn(&str) -> bool) {
        let meant: Vec<String> = self.listed.keys().filter(|path| is_meant(path)).cloned().collect();
        match remove(&self.current, selection, false) {
            Ok(removal) => {
                let mut removed = removal.images;
                removed.sort();
                assert_eq!(removed, meant);
            }
            Err(error) => assert!(meant.is_empty() && !selection.missing, "{error}"),
        }
        self.listed.retain(|path, _| !meant.contains(path));
        self.said.retain(|path, _| !meant.contains(path));
    }

    fn merge(&mut self, content: u32, map: Option<usize>) {
        self.write("m/a.png", Some(content));
        let (second, out) = (self.next(), self.next());
        let mut with = self.options(&second);
        with.prepare = Source::File(self.current.clone());
        index_of(&folder(&self.images().join("m")), &with).unwrap();
        let map: Option<Source> = map.map(|map| MAPS[map].parse().unwrap());
        let has_raw = self.has_raw() || self.opened().segments().is_empty();
        let merged = merge(&out, &[self.current.clone(), second], map.as_ref(), &mut |_| {});
        if map.is_some() && !(self.keep_raw && has_raw) {
            assert!(merged.unwrap_err().to_string().contains("raw"));
            return;
        }
        let merged = merged.unwrap();
        let mut superseded = 0;
        for (path, &(content, date)) in self.disk.iter().filter(|(path, _)| path.starts_with("m/")) {
            let Some(content) = content else { continue };
            let held = self.listed.get(path).copied();
            superseded += usize::from(held.is_some());
            if held.is_none_or(|held| date > held.1) {
                self.listed.insert(path.clone(), (content, date));
                // What is said about the same contents is joined.
                if held.is_some_and(|held| held.0 != content) {
                    self.said.remove(path);
                }
            }
        }
        assert_eq!(merged.superseded, superseded);
        let broken = self.disk.iter().filter(|(path, held)| held.0.is_none() && path.starts_with("m/"));
        self.rejects.extend(broken.map(|(path, _)| path.clone()));
        self.current = out;
        self.preparation = self.opened().preparation().unwrap();
    }

    fn prepare(&mut self, map: &str) {
        let source: Source = map.parse().unwrap();
        let (has_raw, is_empty) = (self.has_raw(), self.opened().segments().is_empty());
        match prepare(&self.current, &source, &mut |_| ()) {
            Ok(prepared) => {
                assert!(has_raw || is_empty);
                self.preparation = prepared.preparation;
            }
            // A map cannot be fitted on nothing.
            Err(error) => assert!(!has_raw || self.listed.is_empty(), "{error}"),
        }
        assert_eq!(self.opened().preparation().unwrap().digest(), self.preparation.digest());
    }

    /// What comparing the query with every patch of every listed image finds.
    fn brute(&self) -> Vec<Found> {
        let mut found = Vec::new();
        let dim = self.preparation.output_dim();
        let encoding = RowEncoding { preparation: &self.preparation, metric: METRICS[0], rows: self.rows };
        for (path, &(content, _)) in &self.listed {
            let (bytes, scales) = encoding.encode(&tokens(content));
            let mut scores = vec![0.0; bytes.len() / dim / self.rows.element.size_bytes()];
            let halves: Vec<f16>;
            let bytes_i8: Vec<i8>;
            let rows = match self.rows == RowKind::I8 {
                true => {
                    bytes_i8 = bytes.iter().map(|&byte| byte as i8).collect();
                    Rows::I8(&bytes_i8, &scales)
                }
                false => {
                    halves = bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]])).collect();
                    Rows::F16(&halves)
                }
            };
            let vectors = Vectors { rows, dim, metric: METRICS[0] };
            vectors.score(asked(&self.query, dim), 0, &mut scores);
            found.extend(scores.iter().enumerate().map(|(number, &score)| (score, path.clone(), number)));
        }
        ordered(found)
    }

    fn check(&self) {
        let collection = self.opened();
        let expected: BTreeMap<String, Option<u32>> =
            self.listed.keys().map(|path| (path.clone(), self.said.get(path).copied())).collect();
        assert_eq!(said(&collection), expected);
        assert_eq!(search(&collection, &self.query), self.brute());
        assert_sound(&self.current, "after a step");
        for (kept, answer) in &self.kept {
            assert_eq!(search(kept, &self.query), *answer, "an open collection stays as it is");
        }
    }

    /// The one segment is, but for the names of its files, that of a new index of what is listed.
    fn check_as_fresh(&mut self) {
        let collection = self.opened();
        if self.listed.is_empty() {
            assert!(collection.segments().iter().all(|segment| segment.patch_count() == 0));
            return;
        }
        let digests = |collection: &Collection| {
            let [segment] = collection.manifest().segments.as_slice() else {
                panic!("{} segments", collection.segments().len());
            };
            let file = |file: &patchdex_format::FileEntry| {
                (format!("{:?}", FileRole::of(&file.name)), file.digest.clone())
            };
            (segment.patches, segment.files.iter().map(file).collect::<Vec<_>>())
        };
        let images = self.next();
        for (path, &(content, date)) in &self.listed {
            states::write(&images.join(path), &states::picture(content), date);
        }
        let fresh = self.next();
        let table = self.folder.path().join(format!("said-{}.csv", self.made));
        let rows: String = self.said.iter().map(|(path, value)| format!("{path},{value}\n")).collect();
        fs::write(&table, format!("image,number\n{rows}")).unwrap();
        let mut with = self.options(&fresh);
        (with.keep_raw, with.prepare) = (self.has_raw(), Source::File(self.current.clone()));
        with.metadata = Some(Arc::new(MetadataFile::read(&table).unwrap()));
        index_of(&folder(&images), &with).unwrap();
        let fresh = Collection::open(&fresh).unwrap();
        assert_eq!(digests(&collection), digests(&fresh), "compacted and new");
    }
}

/// Adds, and throws unfinished work of another addition away.
fn add_again(sources: &Sources, options: &IndexOptions) -> Result<Addition, IngestError> {
    add(sources, states::model(), options, true, &AtomicBool::new(false), &mut |_| {})
}

/// The paths of a collection with what is said about each.
fn said(collection: &Collection) -> BTreeMap<String, Option<u32>> {
    let mut found = BTreeMap::new();
    for segment in collection.segments() {
        let metadata = segment.metadata().unwrap();
        for image in segment.images().map(Result::unwrap) {
            let row = metadata.map(|table| table.row(image.index)).unwrap_or_default();
            let value = row.get("number").and_then(|value| value.as_u64());
            found.insert(image.path_text(), value.map(|value| value as u32));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_shrink_iters: 300,
        // Seeds that once failed are kept, and are tried first.
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/model_based.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_collection_is_what_a_plain_map_says(
        steps in steps(),
        keep_raw in prop::bool::weighted(0.6),
        quantised in any::<bool>(),
        query in prop::collection::vec(-1.0f32..1.0, 8),
        first in 0..CONTENTS,
    ) {
        let rows = if quantised { RowKind::I8 } else { RowKind::DEFAULT };
        let mut bench = Bench::new(keep_raw, rows, query, first);
        steps.iter().for_each(|step| bench.run(step));
    }
}

fn run(steps: &[Step]) -> Bench {
    let mut bench = Bench::new(true, RowKind::DEFAULT, vec![0.3, -0.7, 0.2, 0.9, -0.1, 0.5, -0.4, 0.6], 0);
    steps.iter().for_each(|step| bench.run(step));
    bench
}

#[test]
fn a_copy_of_what_a_broken_file_once_held_is_no_reject() {
    let bench = run(&[Step::Copy(0, 1), Step::Break(0), Step::Add, Step::Compact(true)]);
    assert_eq!(bench.listed.keys().collect::<Vec<_>>(), ["a.png", "b.png"]);
}

#[test]
fn a_file_that_moved_is_found_and_its_segment_put_in_order() {
    let bench = run(&[
        Step::Write(1, 1),
        Step::Add,
        Step::Compact(true),
        Step::Move(0, 3),
        Step::Add,
        Step::Keep,
        Step::Compact(true),
        Step::Prepare(2),
        Step::Compact(true),
    ]);
    assert_eq!(bench.listed.keys().collect::<Vec<_>>(), ["b.png", "d/b.png"]);
    assert_eq!(bench.opened().manifest().segments[0].id, "000005");
}

#[test]
fn two_files_that_change_places_keep_their_vectors() {
    let bench = run(&[
        Step::Write(1, 1),
        Step::Add,
        Step::Move(0, 2),
        Step::Move(1, 0),
        Step::Move(2, 1),
        Step::Add,
        Step::Compact(true),
    ]);
    assert_eq!(bench.listed["a.png"].0, 1);
    assert_eq!(bench.listed["b.png"].0, 0);
    assert_eq!(bench.opened().segments()[0].patch_count(), tokens(0).len() / 8 + tokens(1).len() / 8);
}

#[test]
fn what_is_written_is_told_to_the_end() {
    let mut bench = run(&[Step::Write(1, 1), Step::Add]);
    let (other, out) = (bench.next(), bench.next());
    states::copy(&bench.current, &other);
    let (mut folded, mut merged) = (Vec::new(), Vec::new());
    compact(&bench.current, CompactOptions::ALL, &mut |written| folded.push(*written)).unwrap();
    let centre = "centre".parse().unwrap();
    let both = [bench.current.clone(), other];
    merge(&out, &both, Some(&centre), &mut |written| merged.push(*written)).unwrap();
    // The model's own tokens are kept beside the vectors.
    let of = 2 * bench.opened().segments()[0].patch_count() as u64;
    for told in [folded, merged] {
        assert!(told.len() > 2 && told.is_sorted_by_key(|written| written.rows), "{told:?}");
        assert_eq!((told[0].rows, told[0].of), (0, of));
        assert_eq!(told.last().map(|written| (written.rows, written.of)), Some((of, of)));
    }
}

#[test]
fn nothing_merged_with_nothing_is_nothing() {
    let mut bench = run(&[Step::RemovePattern(4), Step::Compact(true)]);
    assert!(bench.listed.is_empty() && bench.has_raw());
    let (other, out) = (bench.next(), bench.next());
    states::copy(&bench.current, &other);
    let merged = merge(&out, &[bench.current.clone(), other], None, &mut |_| {}).unwrap();
    assert_eq!((merged.superseded, merged.manifest.segments.len()), (0, 0));
    bench.current = out;
    bench.check();
    [Step::Write(3, 2), Step::Add, Step::Merge(4, None)].iter().for_each(|step| bench.run(step));
    assert_eq!(bench.listed.keys().collect::<Vec<_>>(), ["a.png", "d/b.png", "m/a.png"]);
}
