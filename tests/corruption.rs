//! Damage of every kind in every file of a collection: cut, grown, flipped, swapped, missing, forged. Whatever the bytes,
//! readers give a value or an error that names the file and what to do; `verify` finds all of it; nothing else changes.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // files are damaged on purpose

use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytemuck::Zeroable;
use patchdex::collection::{Collection, verify};
use patchdex::core::{Fault, Kind};
use patchdex::index::{DEFAULT_EF, ExactIndex, HnswIndex, PatchIndex, RowSet};
use patchdex::segment::Depth;
use patchdex_format::{
    ContainerWriter, Element, FORMAT_VERSION, FileEntry, ImageRow, ImageTable, Layout, Manifest,
    PreparationEntry, ViewRow,
};
use proptest::prelude::*;
use tempfile::TempDir;

const FIXTURES: [&str; 9] = [
    "v1/f16",
    "v1/f32-dot",
    "v1/i8-tiles",
    "v2/f16",
    "v2/f32-dot",
    "v2/i8-tiles",
    "v3/f16",
    "v3/f32-dot",
    "v3/i8-tiles",
];
/// Files up to this size have every byte flipped; larger ones every `STRIDE`th, and all bytes that give structure.
const SMALL_BYTES: usize = 8192;
const STRIDE: usize = 97;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A copy of a fixture, with the bytes of every file.
struct Copy {
    folder: TempDir,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Copy {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = contents(&fixture(name));
        for (path, bytes) in &files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self { folder, files }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a file, reads everything, puts the file back. Gives what `verify` and readers said.
    fn with(&self, file: &Path, bytes: &[u8], case: &str) -> Findings {
        let path = self.path().join(file);
        fs::write(&path, bytes).unwrap();
        let findings = read_all(self.path(), &format!("{}: {case}", file.display()));
        assert_eq!(fs::read(&path).unwrap(), bytes, "{}: {case}: readers changed the file", file.display());
        fs::write(&path, &self.files[file]).unwrap();
        findings
    }

    fn is_untouched(&self) {
        assert!(contents(self.path()) == self.files, "readers changed a file");
    }
}

/// Paths below a folder, with the bytes of each file.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, out: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, root, out),
                false => {
                    out.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(folder, folder, &mut out);
    out
}

#[derive(Debug)]
struct Findings {
    /// What `verify` said: nothing when all is sound.
    verify: Vec<(Kind, String)>,
    /// What opening, preparation, images and search said.
    reading: Vec<String>,
}

impl Findings {
    /// Damage was found, and every message names the file and what to do.
    fn name(&self, file: &Path, case: &str) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(!self.verify.is_empty(), "{}: {case}: not found", file.display());
        for message in self.verify.iter().map(|(_, message)| message).chain(&self.reading) {
            assert!(message.contains(name), "{}: {case}: does not name the file: {message}", file.display());
            let advice = ["patchdex repair", "patchdex index", "newer patchdex"];
            assert!(
                advice.iter().any(|advice| message.contains(advice)),
                "{}: {case}: does not say what to do: {message}",
                file.display()
            );
        }
    }
}

/// Everything that readers do with a collection, with the case named should one of them panic.
fn read_all(folder: &Path, case: &str) -> Findings {
    catch_unwind(AssertUnwindSafe(|| Findings { verify: verified(folder), reading: reading(folder) }))
        .unwrap_or_else(|_| panic!("{case}: a reader panicked"))
}

fn verified(folder: &Path) -> Vec<(Kind, String)> {
    match verify(folder, Depth::Full) {
        Ok(report) => report.damage.iter().map(|d| (d.error.kind(), d.error.to_string())).collect(),
        Err(error) => vec![(error.kind(), error.to_string())],
    }
}

fn reading(folder: &Path) -> Vec<String> {
    let collection = match Collection::open(folder) {
        Ok(collection) => collection,
        Err(error) => return vec![error.to_string()],
    };
    let mut found: Vec<String> = collection.preparation().err().iter().map(ToString::to_string).collect();
    found.extend(collection.graph_faults().map(ToString::to_string));
    for segment in collection.segments() {
        for image in segment.images() {
            match image {
                Ok(image) => {
                    let _ = collection.image_file(image.path);
                    for view in image.views() {
                        assert!(view.first_patch + view.grid.len() <= segment.patch_count());
                        let _ = view.grid.patch_box(view.grid.len() - 1);
                    }
                }
                Err(error) => found.push(error.to_string()),
            }
        }
        let vectors = segment.vectors();
        let query: Vec<f32> = (0..vectors.dim).map(|at| (at as f32).sin()).collect();
        let top = ExactIndex { vectors }.search(&query, 3, DEFAULT_EF);
        let walked = segment.graph().map(|graph| HnswIndex { graph, vectors });
        let walked = walked.map_or(Vec::new(), |index| {
            let half = RowSet::of(std::slice::from_ref(&(0..segment.patch_count() / 2)));
            let among = index.search_among(&query, 3, DEFAULT_EF, Some(&half));
            [index.search(&query, 3, DEFAULT_EF), among].concat()
        });
        assert!(top.iter().chain(&walked).all(|neighbour| neighbour.row < segment.patch_count() as u64));
    }
    found
}

#[test]
fn sound_copies_are_sound() {
    for name in FIXTURES {
        let copy = Copy::of(name);
        let findings = read_all(copy.path(), name);
        assert!(findings.verify.is_empty() && findings.reading.is_empty(), "{findings:?}");
        copy.is_untouched();
    }
}

#[test]
fn every_truncation_is_found_and_named() {
    for name in FIXTURES {
        let copy = Copy::of(name);
        for (file, bytes) in &copy.files {
            let len = bytes.len();
            let steps = (0..len).step_by((len / 40).max(1));
            let edges =
                [0, 1, 8, 12, 63, 64, 65, 127, 128, 129, len / 2, len.saturating_sub(65), len - 64, len - 1];
            for cut in steps.chain(edges).filter(|&cut| cut < len) {
                let case = format!("cut to {cut} bytes");
                copy.with(file, &bytes[..cut], &case).name(file, &case);
            }
        }
        copy.is_untouched();
    }
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    for name in FIXTURES {
        let copy = Copy::of(name);
        for (file, bytes) in &copy.files {
            let path = copy.path().join(file);
            let mut handle = fs::File::options().write(true).open(&path).unwrap();
            let mut put = |at: usize, byte: u8| {
                handle.seek(SeekFrom::Start(at as u64)).unwrap();
                handle.write_all(&[byte]).unwrap();
            };
            for at in places(bytes) {
                let bit = 1 << (at % 8);
                put(at, bytes[at] ^ bit);
                let case = format!("byte {at} with bit {} flipped", at % 8);
                read_all(copy.path(), &format!("{}: {case}", file.display())).name(file, &case);
                put(at, bytes[at]);
            }
        }
        copy.is_untouched();
    }
}

/// Bytes to flip: all of a small file; of a larger one a sample, and all of preface, section edges, header, footer.
fn places(bytes: &[u8]) -> Vec<usize> {
    if bytes.len() <= SMALL_BYTES {
        return (0..bytes.len()).collect();
    }
    let header = u64::from_le_bytes(bytes[bytes.len() - 64..][..8].try_into().unwrap()) as usize;
    let mut places: Vec<usize> = (0..72).chain(header - 72..bytes.len()).collect();
    places.extend((72..header).step_by(STRIDE));
    for kind in ["images", "vectors", "preparation", "metadata", "graph"] {
        for section in Layout::parse(bytes, kind).iter().flat_map(|layout| &layout.sections) {
            let (start, end) = (section.offset as usize, (section.offset + section.size_bytes()) as usize);
            places.extend([start, start + 1, end - 1, end].into_iter().filter(|&at| at < header));
        }
    }
    places
}

#[test]
fn garbage_and_growth_are_found_and_named() {
    for name in FIXTURES {
        let copy = Copy::of(name);
        for (file, bytes) in &copy.files {
            let mut state = 0x9E37_79B9_7F4A_7C15u64;
            let mut noise = |len: usize| -> Vec<u8> {
                let next = |_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                };
                (0..len).map(next).collect()
            };
            let cases = [
                ("noise of the same length", noise(bytes.len())),
                ("noise behind the preface", [&bytes[..bytes.len().min(64)], &noise(bytes.len())].concat()),
                ("short noise", noise(300)),
                ("zeros", vec![0; bytes.len()]),
                ("ones", vec![0xFF; bytes.len()]),
                ("one byte more", [bytes.as_slice(), b"\n"].concat()),
                ("64 zeros more", [bytes.as_slice(), &[0; 64]].concat()),
                ("the file twice", [bytes.as_slice(), bytes].concat()),
                ("its halves swapped", [&bytes[bytes.len() / 2..], &bytes[..bytes.len() / 2]].concat()),
            ];
            for (case, damaged) in cases {
                copy.with(file, &damaged, case).name(file, case);
            }
        }
        copy.is_untouched();
    }
}

#[test]
fn files_in_the_place_of_others_are_found_and_named() {
    // Both versions have the same collections, but for what the first one cannot hold.
    let kind = |name: &str| name.split('/').next_back().unwrap().to_owned();
    let of = |name: &&str| {
        contents(&fixture(name)).into_values().map(|bytes| (kind(name), bytes)).collect::<Vec<_>>()
    };
    let foreign: Vec<(String, Vec<u8>)> = FIXTURES.iter().flat_map(of).collect();
    for name in FIXTURES {
        let copy = Copy::of(name);
        for (file, bytes) in &copy.files {
            // A whole manifest of another collection is sound in itself; what it lists is not there.
            let is_manifest = file.ends_with("manifest.json");
            // The copy of the manifest may be of another commit, and a container of another version with the same content
            // is as good as the one that was there.
            let is_copy = file.ends_with("manifest.backup.json");
            let is_as_good = |(other_kind, other): &(String, Vec<u8>)| {
                (is_copy || is_manifest && *other_kind == kind(name)) && Manifest::parse(other).is_ok()
                    || digest(other).is_some_and(|digest_of_other| Some(digest_of_other) == digest(bytes))
            };
            for (_, other) in foreign.iter().filter(|other| other.1 != *bytes && !is_as_good(other)) {
                let findings = copy.with(file, other, "another file");
                match is_manifest {
                    true => assert!(!findings.verify.is_empty()),
                    false => findings.name(file, "another file"),
                }
            }
        }
        copy.is_untouched();
    }
}

/// The digest of a container's content.
fn digest(bytes: &[u8]) -> Option<String> {
    ["images", "vectors", "preparation", "metadata"]
        .iter()
        .find_map(|kind| Layout::parse(bytes, kind).ok())
        .map(|layout| layout.digest())
}

#[test]
fn missing_files_are_found_and_named() {
    for name in FIXTURES {
        let copy = Copy::of(name);
        // Without the copy of its manifest a collection is as sound as with it.
        let files = copy.files.iter().filter(|(file, _)| !file.ends_with("manifest.backup.json"));
        for (file, bytes) in files {
            let path = copy.path().join(file);
            fs::remove_file(&path).unwrap();
            read_all(copy.path(), "missing").name(file, "missing");
            fs::create_dir(&path).unwrap();
            let findings = read_all(copy.path(), "a folder");
            assert!(!findings.verify.is_empty(), "{}: a folder in its place", file.display());
            assert!(findings.verify.iter().all(|(_, message)| message.contains(path.to_str().unwrap())));
            fs::remove_dir(&path).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        fs::remove_dir_all(copy.path().join("segments")).unwrap();
        let findings = read_all(copy.path(), "no segments");
        let files = copy.files.keys().filter(|file| file.starts_with("segments")).count();
        assert_eq!(findings.verify.len(), files, "each of them is named");
    }
}

#[test]
fn all_damage_is_listed_at_once() {
    let copy = Copy::of("v1/i8-tiles");
    let damaged: Vec<&PathBuf> = copy.files.keys().filter(|file| !file.ends_with("manifest.json")).collect();
    for file in &damaged {
        fs::write(copy.path().join(file), b"gone").unwrap();
    }
    let found = verified(copy.path());
    assert_eq!(found.len(), damaged.len());
    for file in damaged {
        assert!(
            found.iter().any(|(_, message)| message.contains(file.to_str().unwrap())),
            "{}",
            file.display()
        );
    }
}

#[test]
fn a_later_version_is_named_before_anything_else() {
    const LATER: u32 = FORMAT_VERSION + 1;
    let later_version = format!("format version {LATER}");
    let copy = Copy::of("v1/f16");
    for (file, bytes) in &copy.files {
        let mut later = bytes.clone();
        if file.ends_with("manifest.json") {
            let text = String::from_utf8(later).unwrap();
            later = text
                .replacen("\"format_version\": 1", &format!("\"format_version\": {LATER}"), 1)
                .into_bytes();
        } else if file.extension().is_some_and(|extension| extension == "pdx") {
            later[8] = LATER as u8;
        } else {
            continue;
        }
        let findings = copy.with(file, &later, "a later version");
        findings.name(file, "a later version");
        let (kind, message) = &findings.verify[0];
        assert_eq!(*kind, Kind::Incompatible, "{message}");
        assert!(message.contains(&later_version) && message.contains("newer patchdex"), "{message}");
        assert!(findings.reading[0].contains(&later_version), "{}", findings.reading[0]);
    }
}

/// What is changed in a manifest.
type Edit = fn(&mut Manifest);

/// A manifest whose checksum is right but whose values are not those that were written.
#[test]
fn forged_manifests_never_panic() {
    let edits: [(&str, Edit); 20] = [
        ("dim 0", |m| m.dim = 0),
        ("dim 1", |m| m.dim = 1),
        ("largest dim", |m| m.dim = u32::MAX),
        ("other vectors", |m| m.vectors = "f32".into()),
        ("unknown vectors", |m| m.vectors = "f8".into()),
        ("unknown metric", |m| m.metric = "hamming".into()),
        ("no hidden size", |m| m.model.hidden_size = 0),
        ("other hidden size", |m| m.model.hidden_size = 768),
        ("no preparation", |m| {
            m.preparation =
                PreparationEntry { spec: "none".into(), fitted_on: "".into(), digest: "".into(), file: None };
        }),
        ("other preparation", |m| m.preparation.digest = "0".repeat(64)),
        ("longer preparation", |m| m.preparation.file.as_mut().unwrap().bytes += 1),
        ("other rejects", |m| m.rejects.digest = String::new()),
        ("most patches", |m| m.segments[0].patches = u64::MAX),
        ("one image more", |m| m.segments[0].images += 1),
        ("one view less", |m| m.segments[0].views -= 1),
        ("largest file", |m| m.segments[0].files[0].bytes = u64::MAX),
        ("no files", |m| m.segments[0].files.clear()),
        ("files renamed", |m| m.segments[0].files[0].name = "manifest.json".into()),
        ("unknown file", |m| {
            m.segments[0].files.push(FileEntry { name: "new.pdx".into(), bytes: 0, digest: "".into() });
        }),
        ("another segment", |m| m.segments[0].id = "000002".into()),
    ];
    let copy = Copy::of("v1/f16");
    let file = Path::new("manifest.json");
    for (case, edit) in edits {
        let mut manifest = Manifest::parse(&copy.files[file]).unwrap();
        edit(&mut manifest);
        let findings = copy.with(file, &manifest.to_bytes(), case);
        assert!(!findings.verify.is_empty(), "{case}");
    }
    let mut manifest = Manifest::parse(&copy.files[file]).unwrap();
    manifest.segments.clear();
    let findings = copy.with(file, &manifest.to_bytes(), "no segments");
    assert!(findings.verify.is_empty() && findings.reading.is_empty(), "an empty collection is sound");
}

/// Puts an image table into a copy, with checksums and a manifest that vouch for it.
fn forge(copy: &Copy, images: &[ImageRow], views: &[ViewRow], paths: &[u8]) {
    let mut writer = ContainerWriter::new(Vec::new(), ImageTable::KIND, "forger").unwrap();
    writer.section("images", Element::ImageRow, 1, images).unwrap();
    writer.section("views", Element::ViewRow, 1, views).unwrap();
    writer.section("paths", Element::U8, 1, paths).unwrap();
    let bytes = writer.finish().unwrap();
    let mut manifest = Manifest::parse(&copy.files[Path::new("manifest.json")]).unwrap();
    let segment = &mut manifest.segments[0];
    (segment.images, segment.views) = (images.len() as u64, views.len() as u64);
    let entry = segment.files.iter_mut().find(|file| file.name == "images.pdx").unwrap();
    (entry.bytes, entry.digest) =
        (bytes.len() as u64, Layout::parse(&bytes, ImageTable::KIND).unwrap().digest());
    fs::write(copy.path().join("segments/000001/images.pdx"), bytes).unwrap();
    fs::write(copy.path().join("manifest.json"), manifest.to_bytes()).unwrap();
}

#[test]
fn rows_that_point_outside_are_found_behind_right_checksums() {
    let copy = Copy::of("v1/f16");
    let image = ImageRow { path_bytes: 5, view_count: 1, ..ImageRow::zeroed() };
    let view = ViewRow { rows: 2, cols: 2, area: [0.0, 0.0, 8.0, 8.0], ..ViewRow::zeroed() };
    forge(&copy, &[image], &[view], b"a.jpg");
    assert!(read_all(copy.path(), "sound").verify.is_empty());
    let images = [
        ImageRow { path_offset: 1, ..image },
        ImageRow { path_offset: u64::MAX, ..image },
        ImageRow { path_bytes: u32::MAX, ..image },
        ImageRow { first_view: 1, ..image },
        ImageRow { first_view: u32::MAX, view_count: u32::MAX, ..image },
        ImageRow { same_as: 1, ..image },
    ];
    let views = [
        ViewRow { first_patch: 37, ..view },
        ViewRow { first_patch: u64::MAX, ..view },
        ViewRow { rows: u32::MAX, cols: u32::MAX, ..view },
        ViewRow { rows: 0, ..view },
        ViewRow { cols: 0, ..view },
        ViewRow { area: [f32::NAN, 0.0, 1.0, 1.0], ..view },
        ViewRow { area: [0.0, 0.0, f32::INFINITY, 1.0], ..view },
    ];
    let wrong = images.map(|image| (image, view)).into_iter().chain(views.map(|view| (image, view)));
    for (image, view) in wrong {
        forge(&copy, &[image], &[view], b"a.jpg");
        let findings = read_all(copy.path(), "a forged row");
        findings.name(Path::new("images.pdx"), &format!("{image:?} {view:?}"));
        assert!(!findings.reading.is_empty());
    }
}

/// A small table could else make its readers list any number of views.
#[test]
fn images_share_views_only_as_copies_do() {
    let copy = Copy::of("v1/f16");
    let first = ImageRow { path_bytes: 5, view_count: 2, ..ImageRow::zeroed() };
    let second = ImageRow { path_offset: 5, ..first };
    let view = ViewRow { rows: 2, cols: 2, area: [0.0, 0.0, 8.0, 8.0], ..ViewRow::zeroed() };
    let views = [view, ViewRow { first_patch: 4, ..view }];
    forge(&copy, &[first, second], &views, b"a.jpgb.jpg");
    assert!(read_all(copy.path(), "a copy").verify.is_empty());
    // Any number of copies of any number of views takes no more room than the table.
    let listed = Collection::open(copy.path()).unwrap().segments()[0].listed().unwrap();
    assert!(Arc::ptr_eq(&listed[0].views, &listed[1].views));
    for second in [
        ImageRow { same_as: 1, ..second },
        ImageRow { content: [1; 32], ..second },
        ImageRow { view_count: 1, ..second },
        ImageRow { first_view: 1, view_count: 1, ..second },
    ] {
        forge(&copy, &[first, second], &views, b"a.jpgb.jpg");
        let findings = read_all(copy.path(), "a forged copy");
        findings.name(Path::new("images.pdx"), &format!("{second:?}"));
        assert_eq!(findings.verify[0].0, Kind::Corrupt);
    }
    let own = [
        ImageRow { view_count: 1, ..first },
        ImageRow { view_count: 1, same_as: 1, first_view: 1, ..second },
    ];
    forge(&copy, &own, &views, b"a.jpgb.jpg");
    assert!(read_all(copy.path(), "views of their own").verify.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_mutation_gives_a_value_or_an_error(
        fixture in 0..FIXTURES.len(),
        file in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let copy = Copy::of(FIXTURES[fixture]);
        let (file, bytes) = copy.files.iter().nth(file.index(copy.files.len())).unwrap();
        let mut damaged = bytes.clone();
        for (at, value) in edits {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(damaged.len()));
        }
        let findings = copy.with(file, &damaged, "mutated");
        prop_assert_eq!(findings.verify.is_empty(), damaged == *bytes, "{}", file.display());
        copy.is_untouched();
    }

    #[test]
    fn any_table_behind_right_checksums_gives_a_value_or_an_error(
        images in prop::collection::vec(prop::collection::vec(0u8..4, 80), 0..4),
        views in prop::collection::vec(prop::collection::vec(any::<u8>(), 40), 0..4),
        small in any::<bool>(),
    ) {
        let images: Vec<ImageRow> = images.iter().map(|row| bytemuck::pod_read_unaligned(row)).collect();
        // Small numbers reach the checks that follow those of large ones.
        let low = |row: &Vec<u8>| -> Vec<u8> {
            row.iter().enumerate().map(|(at, v)| if at % 4 == 0 { v % 4 } else { 0 }).collect()
        };
        let views: Vec<ViewRow> = views
            .iter()
            .map(|row| if small { low(row) } else { row.clone() })
            .map(|row| bytemuck::pod_read_unaligned(&row))
            .collect();
        let copy = Copy::of("v1/f32-dot");
        forge(&copy, &images, &views, b"some paths");
        read_all(copy.path(), "a forged table");
    }
}
