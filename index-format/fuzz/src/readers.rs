//! Every reader that takes foreign bytes, each as a function of some bytes: it may refuse them, it may not panic. Where
//! a checksum would turn away whatever a fuzzer makes, the bytes become the sections of a sound container.
//!
//! `tests/fuzz_regressions.rs` replays through the same functions what fuzzing found.

use std::fs;
use std::path::Path;

use patchdex::collection::{Column, Columns, Filter};
use patchdex::dims::{Method, Moments, Preparation};
use patchdex::exchange::{FORMATS, VectorFile};
use patchdex::index::{RowKind, VectorLayout};
use patchdex::metric::METRICS;
use patchdex::picture::{self, Limits};
use patchdex::segment::{Depth, FileRole, Segment, file_entry};
use patchdex_format::{
    Cause, ContainerWriter, Element, FormatError, ImageTable, Layout, Manifest, MetadataTable,
    MetadataWriter, SegmentEntry,
};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// A target's name and its function.
pub type Reader = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: [Reader; 9] = [
    ("container", container),
    ("manifest", manifest),
    ("images", images),
    ("metadata", metadata),
    ("segment", segment),
    ("preparation", preparation),
    ("vector_file", vector_file),
    ("filter", filter),
    ("picture_header", picture_header),
];

const KINDS: [&str; 4] = ["images", "vectors", "metadata", "preparation"];
/// Between the parts of an input that consists of several: no byte of UTF-8.
const SEPARATOR: u8 = 0xff;
const PREFACE_BYTES: usize = 64;

/// A whole file as it is, and with a header and a footer whose checksums hold.
pub fn container(data: &[u8]) {
    read_layout(data);
    read_layout(&resealed(data));
}

fn read_layout(bytes: &[u8]) {
    for kind in KINDS {
        let layout = match Layout::parse(bytes, kind) {
            Ok(layout) => layout,
            Err(error) => {
                told(&error);
                continue;
            }
        };
        layout.verify(bytes).err().iter().for_each(told);
        assert_eq!(layout.digest().len(), 64);
        for section in &layout.sections {
            for element in Element::ALL {
                let name = &section.name;
                let read = match element.size_bytes() {
                    1 => layout.slice::<u8>(bytes, name, element).map(<[u8]>::len),
                    2 => layout.slice::<[u8; 2]>(bytes, name, element).map(<[[u8; 2]]>::len),
                    4 => layout.slice::<u32>(bytes, name, element).map(<[u32]>::len),
                    80 => layout.slice::<patchdex_format::ImageRow>(bytes, name, element).map(<[_]>::len),
                    _ => layout.slice::<patchdex_format::ViewRow>(bytes, name, element).map(<[_]>::len),
                };
                match read {
                    Ok(count) => assert_eq!(count as u64, section.rows * u64::from(section.cols)),
                    Err(error) => told(&error),
                }
            }
        }
        layout.slice::<u8>(&[], "columns", Element::U8).err().iter().for_each(told);
        MetadataTable::parse(&layout, bytes).err().iter().for_each(told);
        ImageTable::new(&layout, bytes).err().iter().for_each(told);
    }
}

/// A file whose preface, footer and checksum of the header are right, and whose sections and header are `data`: its
/// first two bytes say where the header begins.
fn resealed(data: &[u8]) -> Vec<u8> {
    let Some((start, body)) = data.split_first_chunk::<2>() else { return Vec::new() };
    let mut file = empty_file();
    let footer = file.split_off(file.len() - PREFACE_BYTES);
    file.truncate(PREFACE_BYTES);
    file.extend_from_slice(body);
    let blocks = body.len() / PREFACE_BYTES + 1;
    let header = PREFACE_BYTES * (1 + usize::from(u16::from_le_bytes(*start)) % blocks);
    let header_bytes = file.len() - header;
    let checksum = checksum(&file[header..]);
    file.resize(file.len().next_multiple_of(PREFACE_BYTES), 0);
    let at = file.len();
    file.extend_from_slice(&footer);
    file[at..at + 8].copy_from_slice(&(header as u64).to_le_bytes());
    file[at + 8..at + 16].copy_from_slice(&(header_bytes as u64).to_le_bytes());
    file[at + 16..at + 48].copy_from_slice(&checksum);
    file
}

/// What [`resealed`] makes a sound container of again.
pub fn unsealed(file: &[u8]) -> Vec<u8> {
    let footer = &file[file.len() - PREFACE_BYTES..];
    let word = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().expect("eight bytes")) as usize;
    let (header, len) = (word(0), word(8));
    let blocks = (header / PREFACE_BYTES - 1) as u16;
    [&blocks.to_le_bytes()[..], &file[PREFACE_BYTES..header + len]].concat()
}

fn empty_file() -> Vec<u8> {
    ContainerWriter::new(Vec::new(), "vectors", "").and_then(ContainerWriter::finish).expect("memory")
}

/// BLAKE3, which containers have of every section.
fn checksum(bytes: &[u8]) -> [u8; 32] {
    let file = sealed("vectors", &[("all", Element::U8, 1, bytes)]);
    Layout::parse(&file, "vectors").expect("just written").sections[0].checksum
}

/// A sound file of these sections, each cut to whole rows.
fn sealed(kind: &str, sections: &[(&str, Element, u32, &[u8])]) -> Vec<u8> {
    let mut writer = ContainerWriter::new(Vec::new(), kind, "fuzz").expect("memory");
    for &(name, element, cols, bytes) in sections {
        let row = cols as usize * element.size_bytes();
        let whole = &bytes[..bytes.len() - bytes.len() % row];
        writer.section(name, element, cols, whole).expect("whole rows");
    }
    writer.finish().expect("memory")
}

/// The same bytes on an address that rows may start on.
fn aligned<R>(bytes: &[u8], read: impl FnOnce(&[u8]) -> R) -> R {
    let mut room = vec![0u8; bytes.len() + 64];
    let start = room.as_ptr().align_offset(64);
    room[start..start + bytes.len()].copy_from_slice(bytes);
    read(&room[start..start + bytes.len()])
}

fn told(error: &FormatError) {
    assert!(!error.to_string().is_empty());
    assert!(!matches!(&error.cause, Cause::Structure { what } if what.is_empty()));
}

/// A manifest as it is, and with the checksum that its text needs. One that is read is written and read again.
pub fn manifest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let body = text.trim_end().trim_end_matches('}').trim_end();
    let digest: String = checksum(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let signed = format!("{body},\n  \"checksum\": \"{digest}\"\n}}\n");
    for bytes in [data, signed.as_bytes()] {
        match Manifest::parse(bytes) {
            Ok(read) => assert_eq!(Manifest::parse(&read.to_bytes()).expect("just written"), read),
            Err(error) => told(&error),
        }
    }
}

/// Image rows, views and paths, each as long as a leading byte says, as the tables of a sound file.
pub fn images(data: &[u8]) {
    aligned(&images_file(data), |bytes| {
        let layout = Layout::parse(bytes, ImageTable::KIND).expect("just written");
        let table = ImageTable::new(&layout, bytes).expect("just written");
        assert!(table.image(table.len()).is_err());
        for index in 0..table.len() {
            let row = table.image(index).expect("in range");
            table.path(row).err().iter().for_each(told);
            table.views(row).err().iter().for_each(told);
        }
    });
}

fn images_file(data: &[u8]) -> Vec<u8> {
    let (counts, rest) = data.split_first_chunk::<2>().unwrap_or((&[0, 0], data));
    let (rows, rest) = rest.split_at(rest.len().min(usize::from(counts[0]) * 80));
    let (views, paths) = rest.split_at(rest.len().min(usize::from(counts[1]) * 40));
    sealed(
        ImageTable::KIND,
        &[
            ("images", Element::ImageRow, 1, rows),
            ("views", Element::ViewRow, 1, views),
            ("paths", Element::U8, 1, paths),
        ],
    )
}

/// Names, codes and values of metadata as the sections of a sound file. What is read is written and read again.
pub fn metadata(data: &[u8]) {
    let file = metadata_file(data);
    let layout = Layout::parse(&file, MetadataTable::KIND).expect("just written");
    let table = match MetadataTable::parse(&layout, &file) {
        Ok(table) => table,
        Err(error) => return told(&error),
    };
    let rows: Vec<Map<String, Value>> = (0..table.len()).map(|row| table.row(row)).collect();
    assert!(table.row(table.len()).is_empty());
    let mut writer = MetadataWriter::default();
    rows.iter().for_each(|row| writer.push(row));
    if !writer.is_empty() {
        let file = writer.write(Vec::new(), "fuzz").expect("memory");
        let layout = Layout::parse(&file, MetadataTable::KIND).expect("just written");
        let again = MetadataTable::parse(&layout, &file).expect("just written");
        assert_eq!((0..again.len()).map(|row| again.row(row)).collect::<Vec<_>>(), rows);
    }
}

/// The number of codes in a row, then the codes (a byte each), the names and the values of each column.
fn metadata_file(data: &[u8]) -> Vec<u8> {
    let (&cols, rest) = data.split_first().unwrap_or((&0, data));
    let mut parts = rest.split(|&byte| byte == SEPARATOR);
    let codes: Vec<u8> = parts.next().unwrap_or_default().iter().flat_map(|&code| [code, 0, 0, 0]).collect();
    let names = parts.next().unwrap_or_default();
    let mut sections = vec![
        ("columns".to_owned(), Element::U8, 1, names),
        ("codes".to_owned(), Element::U32, u32::from(cols).max(1), codes.as_slice()),
    ];
    for (index, values) in parts.take(8).enumerate() {
        sections.push((format!("values.{index}"), Element::U8, 1, values));
    }
    let sections: Vec<_> = sections.iter().map(|(name, a, b, c)| (name.as_str(), *a, *b, *c)).collect();
    sealed(MetadataTable::KIND, &sections)
}

/// The tables of [`images`] as a segment beside a few vectors, metadata after a separator. All that a segment gives is
/// asked for.
pub fn segment(data: &[u8]) {
    const DIM: usize = 4;
    let (tables, said) = match data.split_first() {
        Some((&len, rest)) => rest.split_at(rest.len().min(usize::from(len) * 16)),
        None => (data, data),
    };
    let scratch = scratch();
    let folder = scratch.path();
    let mut contents = vec![
        (FileRole::Images, images_file(tables)),
        (
            FileRole::Vectors,
            sealed("vectors", &[("vectors", Element::F16, DIM as u32, &[0x11; 24 * 2 * DIM])]),
        ),
    ];
    if !said.is_empty() {
        contents.push((FileRole::Metadata, metadata_file(said)));
    }
    let mut entry =
        SegmentEntry { id: "1".into(), images: 0, views: 0, patches: 24, files: Vec::new(), graph: None };
    for (role, bytes) in &contents {
        put(&folder.join(role.first_name()), bytes);
        entry.files.push(file_entry(folder, &role.first_name()).expect("just written"));
    }
    let counts = &contents[0].1;
    let layout = Layout::parse(counts, ImageTable::KIND).expect("just written");
    let rows = |name| layout.section(name).map_or(0, |section| section.rows);
    (entry.images, entry.views) = (rows("images"), rows("views"));
    let stored = VectorLayout { kind: RowKind::DEFAULT, dim: DIM, metric: METRICS[0] };
    let damage = Segment::verify(folder, &entry, stored, Depth::Full);
    // The files are sound. Images may share views as no copies do, and that is seen at once.
    let Ok(opened) = Segment::open(folder, &entry, stored) else {
        assert_eq!(damage.len(), 1, "{damage:?}");
        return;
    };
    let listed = opened.listed();
    assert_eq!(damage.is_empty(), listed.is_ok(), "{damage:?}");
    drop((opened.live_patch_count(), Segment::paths(folder, &entry)));
    for image in opened.images().flatten() {
        for view in image.views() {
            let count = view.grid.rows as usize * view.grid.cols as usize;
            assert_eq!(opened.row_bytes(view.first_patch, count).0.len(), count * DIM * 2);
        }
    }
    if let Ok(listed) = listed {
        let tables = patchdex::segment::SegmentTables::of(listed);
        assert_eq!(tables.image_count(), entry.images);
    }
}

/// A preparation as it is, and its sections in a sound file. One that is read is applied, fitted on, written and read.
pub fn preparation(data: &[u8]) {
    drop(Preparation::from_bytes(data, "model"));
    let Some((&[present, dim, lens], rest)) = data.split_first_chunk::<3>() else { return };
    let whole = u32::from(dim).to_le_bytes();
    let method: &[u8] = if present & 1 == 0 { b"whiten" } else { b"drop:3" };
    let selected = if present & 2 == 0 { u32::from(dim) } else { u32::from(lens % 16) }.max(1);
    let mut rest = rest;
    let mut take = |bytes: usize| {
        let (head, tail) = rest.split_at(rest.len().min(bytes));
        rest = tail;
        head
    };
    let mut sections: Vec<(&str, Element, u32, &[u8])> =
        vec![("method", Element::U8, 1, method), ("input_dim", Element::U32, 1, &whole)];
    if present & 2 != 0 {
        sections.push(("keep", Element::U32, 1, take(4 * selected as usize)));
    }
    for (bit, name) in [(4, "mean"), (8, "scale")] {
        if present & bit != 0 {
            sections.push((name, Element::F32, selected, take(4 * selected as usize)));
        }
    }
    if present & 16 != 0 {
        sections.push(("map", Element::F32, selected, take(usize::MAX)));
    }
    let Ok(read) = Preparation::from_bytes(&sealed("preparation", &sections), "model") else { return };
    let (dim, bytes) = (read.input_dim(), read.to_bytes());
    let again = Preparation::from_bytes(&bytes, "model").expect("just written");
    assert_eq!((again.to_bytes(), again.digest()), (bytes, read.digest()));
    assert_eq!(read.apply(&vec![0.5; 3 * dim]).len(), 3 * read.output_dim());
    if dim <= 8 {
        let rows: Vec<f32> = (0..dim * 5).map(|at| ((at * 7) % 11) as f32).collect();
        drop(Preparation::fit(&Method::Whiten, &Moments::of_rows(&rows, dim), Some(&read)));
    }
}

/// A vector file of the format that the first byte chooses: opened, and every row of it read.
pub fn vector_file(data: &[u8]) {
    let Some((&format, bytes)) = data.split_first() else { return };
    let extension = FORMATS[usize::from(format) % FORMATS.len()].extension;
    let scratch = scratch();
    let path = scratch.path().join(format!("a.{extension}"));
    put(&path, bytes);
    match VectorFile::open(&path) {
        Ok(file) => {
            let mut row = vec![0.0; file.dim()];
            (0..file.rows()).for_each(|at| drop(file.read(at, &mut row)));
            assert!(file.read(file.rows(), &mut row).is_err());
        }
        Err(error) => assert!(error.to_string().contains(extension)),
    }
}

/// A condition, and after a separator the values of the columns that it may be on.
pub fn filter(data: &[u8]) {
    let mut parts = data.split(|&byte| byte == SEPARATOR);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let values: Vec<Value> =
        parts.next().and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default();
    match text.parse::<Filter>() {
        Ok(filter) => {
            let columns = Said(values.into_iter().filter(|value| !value.is_null()).collect());
            let matches = filter.matches(&columns);
            assert_eq!(matches.len(), columns.rows());
            let again: Filter = filter.to_string().parse().expect("a condition's own text");
            assert_eq!(again.matches(&columns), matches);
        }
        Err(error) => {
            assert!(error.position() <= text.chars().count() + 1);
            assert!(!error.to_string().is_empty());
        }
    }
}

/// One row for each value, and one without; every column but `none` has them.
struct Said(Vec<Value>);

impl Columns for Said {
    fn rows(&self) -> usize {
        self.0.len() + 1
    }

    fn column(&self, name: &str) -> Option<Column> {
        (name != "none")
            .then(|| Column { codes: (0..=self.0.len() as u32).collect(), values: self.0.clone() })
    }
}

/// The header of a picture and, of a small one, its pixels.
pub fn picture_header(data: &[u8]) {
    let limits = Limits { max_side_px: 512, max_pixels: 1 << 14, max_file_bytes: 1 << 20 };
    match picture::header(data, &limits) {
        Ok(header) => {
            assert!(u64::from(header.width) * u64::from(header.height) <= limits.max_pixels);
            if let Ok(picture) = picture::decode(data, &limits) {
                assert_eq!((picture.width, picture.height), (header.width, header.height));
                assert_eq!(picture.rgb.len(), picture.width as usize * picture.height as usize * 3);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A folder for the files that readers want, in memory where there is such a place.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a folder for temporary files")
}

fn put(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("room for temporary files");
}
