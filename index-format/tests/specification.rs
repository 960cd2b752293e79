//! Holds `FORMAT.md` and the code together: every table of the text is compared with what the crate does, so that
//! neither changes alone. A reader that is written from the text, without the crate, reads what the crate writes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{offset_of, size_of};

use patchdex_format::{
    ALIGNMENT, Cause, ContainerWriter, Element, FORMAT_VERSION, FileEntry, GraphPlan, GraphProof, ImageRow,
    ImageTable, ImageTableWriter, Layout, MANIFEST_NAME, Manifest, MetadataTable, MetadataWriter,
    ModelBinding, OLDEST_VERSION, PreparationEntry, RecallPoint, SegmentEntry, TilePlan, ViewPlan, ViewRow,
};

const TEXT: &str = include_str!("../FORMAT.md");

type Table = Vec<Vec<String>>;

/// The cells of the tables below the heading `title`, without their head rows and backticks.
fn tables(title: &str) -> Vec<Table> {
    let is_heading = |line: &&str| line.starts_with('#');
    let section = TEXT
        .lines()
        .skip_while(|line| !is_heading(line) || line.trim_start_matches('#').trim() != title)
        .skip(1)
        .take_while(|line| !is_heading(line));
    let mut found: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in section.map(str::trim) {
        let is_row = line.starts_with('|');
        if is_row {
            if !inside {
                found.push(Table::new());
            }
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', ""));
            found.last_mut().unwrap().push(cells.collect());
        }
        inside = is_row;
    }
    assert!(!found.is_empty(), "FORMAT.md has no table under '{title}'");
    found.into_iter().map(|rows| rows.into_iter().skip(2).collect()).collect()
}

fn table(title: &str) -> Table {
    tables(title).remove(0)
}

fn constant(name: &str) -> String {
    let row = table("Constants").into_iter().find(|row| row[0] == name);
    row.unwrap_or_else(|| panic!("no constant '{name}'")).remove(1)
}

fn number(name: &str) -> usize {
    constant(name).parse().unwrap()
}

fn sample() -> Vec<u8> {
    let long = "a section whose name does not fit into sixteen bytes";
    let mut writer = ContainerWriter::new(Vec::new(), "vectors", "a program with a long name 1.2.3").unwrap();
    writer.section("vectors", Element::F32, 3, &[1.0f32, -2.0, 0.5, 4.0, 5.0, 6.0]).unwrap();
    writer.section("exactly 16 bytes", Element::U8, 1, &[7u8; 130]).unwrap();
    writer.section(long, Element::U32, 2, &[1u32, 2, 3, 4]).unwrap();
    writer.section::<u8>("empty", Element::F16, 5, &[]).unwrap();
    writer.finish().unwrap()
}

/// The reader that follows the text; offsets come from its tables.
mod independent {
    use super::{Table, constant, number, table, tables};

    pub struct Section {
        pub name: String,
        pub code: u16,
        pub rows: u64,
        pub cols: u32,
        pub bytes: Vec<u8>,
        pub checksum: Vec<u8>,
    }

    pub struct Container {
        pub version: u32,
        pub kind: String,
        pub created_by: String,
        pub sections: Vec<Section>,
    }

    /// Offset and length of the field whose meaning starts with `meaning`.
    fn place(table: &Table, meaning: &str) -> (usize, usize) {
        let row = table.iter().find(|row| row[3].starts_with(meaning));
        let row = row.unwrap_or_else(|| panic!("no field '{meaning}'"));
        (row[0].parse().unwrap(), row[1].parse().unwrap())
    }

    fn field<'a>(record: &'a [u8], table: &Table, meaning: &str) -> &'a [u8] {
        let (offset, len) = place(table, meaning);
        &record[offset..offset + len]
    }

    fn unsigned(bytes: &[u8]) -> u64 {
        bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn relative(base: usize, bytes: &[u8]) -> usize {
        (base as i64 + i64::from_le_bytes(bytes.try_into().unwrap())) as usize
    }

    fn string(header: &[u8], at: usize) -> String {
        let cell = &header[at..at + 16];
        let text = if cell[0] & 0xC0 != 0x80 {
            &cell[..cell.iter().position(|&byte| byte == 0xFF).unwrap_or(16)]
        } else {
            let n = unsigned(&cell[..8]);
            let len = ((n & 0x3F) | ((n & !0xFF) >> 2)) as usize;
            let start = relative(at, &cell[8..]);
            &header[start..start + len]
        };
        String::from_utf8(text.to_vec()).unwrap()
    }

    fn is_zero(bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| byte == 0)
    }

    fn header(file: &[u8]) -> &[u8] {
        let (alignment, table) = (number("alignment"), table("Footer"));
        let end = file.len() - number("footer bytes");
        let footer = &file[end..];
        assert_eq!(field(footer, &table, "end magic"), constant("end magic").as_bytes());
        assert!(is_zero(field(footer, &table, "zero")));
        let version = field(file, &super::table("Preface"), "format version");
        assert_eq!(field(footer, &table, "format version again"), version);
        let start = unsigned(field(footer, &table, "offset of the header")) as usize;
        let len = unsigned(field(footer, &table, "bytes of the header")) as usize;
        assert_eq!((start % alignment, (start + len).next_multiple_of(alignment)), (0, end));
        assert!(is_zero(&file[start + len..end]));
        let header = &file[start..start + len];
        assert_eq!(field(footer, &table, "BLAKE3"), blake3::hash(header).as_bytes());
        header
    }

    pub fn read(file: &[u8], element_bytes: impl Fn(u16) -> usize) -> Container {
        let alignment = number("alignment");
        assert_eq!(file.len() % alignment, 0);
        let preface = table("Preface");
        assert_eq!(field(file, &preface, "magic"), constant("magic").as_bytes());
        assert!(is_zero(field(file, &preface, "zero")));

        let header = header(file);
        let [root, record] = &tables("Header")[..] else { panic!("two tables describe the header") };
        let at = header.len() - 48;
        let (first, len) = place(root, "position of the first");
        let first = relative(at + first, &header[at + first..at + first + len]);
        let count = unsigned(field(&header[at..], root, "number of section records")) as usize;
        let mut end = number("preface bytes");
        let section = |index: usize| {
            let at = first + index * 80;
            let own = &header[at..at + 80];
            let code = unsigned(field(own, record, "code")) as u16;
            let rows = unsigned(field(own, record, "rows"));
            let cols = unsigned(field(own, record, "elements in a row")) as u32;
            let start = unsigned(field(own, record, "offset of the section")) as usize;
            let bytes = &file[start..start + rows as usize * cols as usize * element_bytes(code)];
            let checksum = field(own, record, "BLAKE3").to_vec();
            assert_eq!(checksum, blake3::hash(bytes).as_bytes());
            assert_eq!(start, end.next_multiple_of(alignment));
            assert!(is_zero(&file[end..start]));
            end = start + bytes.len();
            let name = string(header, at + place(record, "name").0);
            Section { name, code, rows, cols, bytes: bytes.to_vec(), checksum }
        };
        Container {
            version: unsigned(field(file, &preface, "format version")) as u32,
            kind: string(header, at + place(root, "kind").0),
            created_by: string(header, at + place(root, "program").0),
            sections: (0..count).map(section).collect(),
        }
    }

    /// As the text says under "Digest of a container".
    pub fn digest(container: &Container) -> String {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let mut bytes = text(&container.kind);
        for section in &container.sections {
            bytes.extend(text(&section.name));
            bytes.extend(section.code.to_le_bytes());
            bytes.extend(section.rows.to_le_bytes());
            bytes.extend(section.cols.to_le_bytes());
            bytes.extend(&section.checksum);
        }
        blake3::hash(&bytes).to_hex().to_string()
    }
}

fn element_bytes(code: u16) -> usize {
    let row = table("Element kinds").into_iter().find(|row| row[0] == code.to_string());
    row.unwrap()[2].parse().unwrap()
}

#[test]
fn constants_are_those_of_the_code() {
    let bytes = sample();
    assert_eq!(number("format version written"), FORMAT_VERSION as usize);
    assert_eq!(number("oldest version read"), OLDEST_VERSION as usize);
    assert_eq!(number("alignment"), ALIGNMENT);
    assert_eq!(constant("manifest name"), MANIFEST_NAME);
    assert_eq!(&bytes[..8], constant("magic").as_bytes());
    assert_eq!(&bytes[bytes.len() - 8..], constant("end magic").as_bytes());
    assert!(TEXT.starts_with(&format!("# Format of a patchdex collection, version {FORMAT_VERSION}\n")));
}

#[test]
fn the_limit_of_sections_is_that_of_the_code() {
    let most = number("most sections in a file");
    let parse = |count: usize| {
        let mut writer = ContainerWriter::new(Vec::new(), "vectors", "test").unwrap();
        for index in 0..count {
            writer.section(&index.to_string(), Element::U8, 1, &[0u8]).unwrap();
        }
        Layout::parse(&writer.finish().unwrap(), "vectors").map(|layout| layout.sections.len())
    };
    assert_eq!(parse(most).unwrap(), most);
    assert!(matches!(parse(most + 1).unwrap_err().cause, Cause::Structure { .. }));
}

#[test]
fn element_kinds_are_those_of_the_code() {
    let listed: Table = table("Element kinds").into_iter().map(|row| row[..3].to_vec()).collect();
    let known = Element::ALL.map(|element| {
        vec![element.code().to_string(), element.name().to_owned(), element.size_bytes().to_string()]
    });
    assert_eq!(listed, known);
}

/// Offset, type, name and size of every field of a row; a field that is left out does not compile.
macro_rules! fields {
    ($row:ident { $($field:ident: $kind:ty),+ $(,)? }) => {{
        let _ = |row: $row| {
            let $row { $($field),+ } = row;
            $(let _: $kind = $field;)+
        };
        vec![$((offset_of!($row, $field), stringify!($kind), stringify!($field), size_of::<$kind>())),+]
    }};
}

fn check_row(title: &str, size: usize, element: Element, fields: &[(usize, &str, &str, usize)]) {
    let listed: Table = table(title).into_iter().map(|row| row[..3].to_vec()).collect();
    let known: Table = fields
        .iter()
        .map(|(offset, kind, name, _)| vec![offset.to_string(), (*kind).into(), (*name).into()])
        .collect();
    assert_eq!(listed, known);
    assert_eq!(fields.iter().map(|field| field.3).sum::<usize>(), size, "no byte is left out");
    assert_eq!(element.size_bytes(), size);
}

#[test]
fn image_rows_are_laid_out_as_the_text_says() {
    let fields = fields!(ImageRow {
        path_offset: u64,
        file_bytes: u64,
        modified_ns: i64,
        path_bytes: u32,
        width_px: u32,
        height_px: u32,
        first_view: u32,
        view_count: u32,
        same_as: u32,
        content: [u8; 32],
    });
    check_row("Image row", size_of::<ImageRow>(), Element::ImageRow, &fields);
}

#[test]
fn view_rows_are_laid_out_as_the_text_says() {
    let fields =
        fields!(ViewRow { first_patch: u64, image: u32, rows: u32, cols: u32, kind: u32, area: [f32; 4] });
    check_row("View row", size_of::<ViewRow>(), Element::ViewRow, &fields);
}

fn manifest() -> Manifest {
    let file = |name: &str| FileEntry { name: name.into(), bytes: 1, digest: "d".into() };
    Manifest {
        format_version: FORMAT_VERSION,
        created_by: "test".into(),
        commit: 1,
        root: "/photos".into(),
        metric: "cosine".into(),
        model: ModelBinding {
            name: "m".into(),
            digest: "d".into(),
            folder: "f".into(),
            variant: "fp32".into(),
            device: Some("cpu".into()),
            licence: Some("MIT".into()),
            patch_px: 14,
            hidden_size: 384,
            prefix_tokens: 1,
            output: "o".into(),
            inputs: BTreeMap::new(),
            image: serde_json::json!({}),
        },
        views: ViewPlan {
            long_side_px: 518,
            tiles: Some(TilePlan { side_px: 256, overlap_px: 64 }),
            pyramid: true,
        },
        preparation: PreparationEntry {
            spec: "whiten".into(),
            fitted_on: "collection".into(),
            digest: "d".into(),
            file: Some(file("preparation.pdx")),
        },
        vectors: "f16".into(),
        dim: 384,
        graph: Some(GraphPlan {
            builder: "batch".into(),
            m: 16,
            ef_construction: 200,
            seed: 0,
            merge_similar: Some(0.95),
        }),
        segments: vec![SegmentEntry {
            id: "000001".into(),
            images: 1,
            views: 1,
            patches: 1,
            files: vec![file("images.pdx")],
            graph: Some(GraphProof {
                nodes: Some(1),
                mean_degree: 11.5,
                self_recall: 0.995,
                recall: vec![RecallPoint { ef: 64, recall_at_10: 0.98 }],
            }),
        }],
        rejects: file("rejects.jsonl"),
        source: "s".into(),
    }
}

/// Dotted paths of all keys.
fn keys(value: &serde_json::Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            for (key, value) in entries {
                let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                keys(value, &at, out);
                out.insert(at);
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| keys(item, &format!("{at}[]"), out));
        }
        _ => {}
    }
}

#[test]
fn the_manifest_has_the_keys_of_the_text() {
    let json: serde_json::Value = serde_json::from_slice(&manifest().to_bytes()).unwrap();
    let mut known = BTreeSet::new();
    keys(&json, "", &mut known);
    // Objects that are always there say nothing beyond their keys: the table leaves them out.
    for object in ["model", "views", "preparation", "rejects"] {
        assert!(known.remove(object), "{object}");
    }
    let rows = table("Manifest");
    let listed: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed.len(), rows.len(), "a key stands twice");
    assert_eq!(listed, known);
    for row in rows {
        let pointer = format!("/{}", row[0].replace("[]", ".0").replace('.', "/"));
        let kind = match json.pointer(&pointer).unwrap() {
            serde_json::Value::Number(number) if number.is_f64() => "number",
            serde_json::Value::Number(_) => "integer",
            serde_json::Value::String(_) => "string",
            serde_json::Value::Bool(_) => "boolean",
            serde_json::Value::Array(_) => "array",
            _ => "object",
        };
        assert_eq!(row[1].trim_end_matches(" or null"), kind, "{}", row[0]);
    }
}

#[test]
fn the_checksum_of_a_manifest_is_what_the_text_says() {
    assert!(TEXT.contains(",⏎  \"checksum\": \"C\"⏎}⏎"));
    let seal =
        |body: &str| format!("{body},\n  \"checksum\": \"{}\"\n}}\n", blake3::hash(body.as_bytes()).to_hex());
    let text = String::from_utf8(manifest().to_bytes()).unwrap();
    let (body, _) = text.rsplit_once(",\n  \"checksum\"").unwrap();
    assert_eq!(text, seal(body));
    // By another writer: no white space, keys in another order, the same tail.
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("checksum");
    let foreign = seal(value.to_string().strip_suffix('}').unwrap());
    assert_eq!(Manifest::parse(foreign.as_bytes()).unwrap(), manifest());
}

#[test]
fn a_reader_made_from_the_text_reads_what_the_crate_writes() {
    let bytes = sample();
    let read = independent::read(&bytes, element_bytes);
    let layout = Layout::parse(&bytes, "vectors").unwrap();
    assert_eq!(read.version, FORMAT_VERSION);
    assert_eq!((&read.kind, &read.created_by), (&layout.kind, &layout.created_by));
    assert_eq!(read.sections.len(), layout.sections.len());
    for (section, known) in read.sections.iter().zip(&layout.sections) {
        assert_eq!(section.name, known.name);
        assert_eq!(
            (section.code, section.rows, section.cols),
            (known.element.code(), known.rows, known.cols)
        );
        assert_eq!(section.checksum, known.checksum);
    }
    let floats = read.sections[0].bytes.chunks(4).map(|cell| f32::from_le_bytes(cell.try_into().unwrap()));
    assert_eq!(floats.collect::<Vec<_>>(), [1.0, -2.0, 0.5, 4.0, 5.0, 6.0]);
    assert_eq!(read.sections[1].bytes, [7; 130]);
    assert_eq!(independent::digest(&read), layout.digest());
}

#[test]
fn a_reader_made_from_the_text_finds_images_and_views() {
    let mut writer = ImageTableWriter::default();
    let row = |width_px| ImageRow { width_px, ..bytemuck::Zeroable::zeroed() };
    let view =
        |first_patch, area| ViewRow { first_patch, rows: 2, cols: 3, area, ..bytemuck::Zeroable::zeroed() };
    writer.push(b"a/1.jpg", row(80), &[view(0, [0.0, 0.0, 80.0, 60.0])]);
    writer.push(b"b.png", row(90), &[view(6, [0.0, 0.0, 90.0, 60.0]), view(12, [10.0, 20.0, 30.0, 40.0])]);
    let read = independent::read(&writer.write(Vec::new(), "test").unwrap(), element_bytes);
    assert_eq!(read.kind, ImageTable::KIND);

    let place = |title: &str, field: &str| -> usize {
        table(title).into_iter().find(|row| row[2] == field).unwrap()[0].parse().unwrap()
    };
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let section = |name: &str| &read.sections.iter().find(|section| section.name == name).unwrap().bytes;
    let image = &section("images")[80..160];
    let of_image = |field: &str| u32_at(image, place("Image row", field)) as usize;
    let start = of_image("path_offset");
    assert_eq!(&section("paths")[start..start + of_image("path_bytes")], b"b.png");
    assert_eq!((of_image("width_px"), of_image("same_as")), (90, 1));
    let last = of_image("first_view") + of_image("view_count") - 1;
    let view = &section("views")[last * 40..(last + 1) * 40];
    assert_eq!(u32_at(view, place("View row", "first_patch")), 12);
    assert_eq!(u32_at(view, place("View row", "image")), 1);
    let area = place("View row", "area");
    let area = [0, 4, 8, 12].map(|side| f32::from_bits(u32_at(view, area + side)));
    assert_eq!(area, [10.0, 20.0, 30.0, 40.0]);
}

#[test]
fn a_reader_made_from_the_text_finds_metadata() {
    let images = [serde_json::json!({ "year": 2020, "camera": "c2" }), serde_json::json!({ "camera": "c1" })];
    let mut writer = MetadataWriter::default();
    images.iter().for_each(|image| writer.push(image.as_object().unwrap()));
    let read = independent::read(&writer.write(Vec::new(), "test").unwrap(), element_bytes);
    assert_eq!(read.kind, MetadataTable::KIND);

    let listed: Table = table("Sections").into_iter().filter(|row| row[0] == "metadata.pdx").collect();
    let section = |name: &str, listed_name: &str| {
        let section = read.sections.iter().find(|section| section.name == name).unwrap();
        let row = listed.iter().find(|row| row[1] == listed_name).unwrap();
        assert_eq!(
            section.code,
            Element::ALL.iter().find(|element| element.name() == row[2]).unwrap().code()
        );
        section
    };
    let text = |name: &str, listed_name: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&section(name, listed_name).bytes).unwrap()
    };
    let columns = text("columns", "columns");
    assert_eq!(columns, ["camera", "year"]);
    let codes = section("codes", "codes");
    assert_eq!((codes.rows, codes.cols as usize), (2, columns.len()));
    let codes = codes.bytes.chunks(4).map(|code| u32::from_le_bytes(code.try_into().unwrap()));
    assert_eq!(codes.collect::<Vec<_>>(), [1, 1, 2, 0]);
    assert_eq!(text("values.0", "values.N"), ["c2", "c1"]);
    assert_eq!(text("values.1", "values.N"), [2020]);
}
