//! Writes inputs to start from into `corpus/`: the fixtures of the tests, taken apart as the readers put them together.
//!
//! `cargo run --example seeds`, in this folder.

use std::fs;
use std::path::{Path, PathBuf};

use patchdex::exchange::FORMATS;
use patchdex_fuzz::readers::unsealed;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixtures = root.join("../../tests/fixtures");
    let mut seeds = Seeds { corpus: root.join("corpus"), count: 0 };
    for path in files(&fixtures) {
        let bytes = fs::read(&path).expect("a fixture");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let small = bytes.len() < 1 << 16;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pdx") => {
                if small {
                    seeds.add("container", &bytes);
                    seeds.add("container", &unsealed(&bytes));
                }
                if name.starts_with("images") {
                    seeds.add_tables(&bytes);
                }
                if name.starts_with("preparation") && small {
                    seeds.add("preparation", &bytes);
                }
            }
            Some("json") if name == "manifest.json" => {
                seeds.add("manifest", &bytes);
                let text = String::from_utf8_lossy(&bytes);
                let body = text.split(",\n  \"checksum\"").next().unwrap_or_default();
                seeds.add("manifest", body.as_bytes());
            }
            Some("npy") if small => seeds.add("vector_file", &[&[0], &bytes[..]].concat()),
            Some("jpg" | "png" | "gif" | "webp" | "tif" | "bmp" | "jpeg") if bytes.len() < 1 << 14 => {
                seeds.add("picture_header", &bytes);
            }
            _ => {}
        }
    }
    for said in [
        &b"\x01\x01\x00\xff[\"a\"]\xff[5]"[..],
        b"\x02\x01\x00\x02\x01\xff[\"a\",\"b\"]\xff[5,\"x\"]\xff[true]",
    ] {
        seeds.add("metadata", said);
    }
    for present in 0..32u8 {
        let floats: Vec<u8> = (0..64).flat_map(|at| (at as f32 * 0.25).to_le_bytes()).collect();
        seeds.add("preparation", &[&[present, 4, 4][..], &floats].concat());
        let kept: Vec<u8> = [0u32, 1, 2, 3].into_iter().flat_map(u32::to_le_bytes).collect();
        seeds.add("preparation", &[&[present, 4, 4][..], &kept, &floats].concat());
    }
    // Maps that a whitening cannot come from.
    for number in [f32::NAN, f32::INFINITY, 3e38, 0.0, 1e-45] {
        let floats: Vec<u8> = (0..20).flat_map(|_| number.to_le_bytes()).collect();
        seeds.add("preparation", &[&[20, 4, 4][..], &floats].concat());
    }
    for (format, _) in FORMATS.iter().enumerate() {
        let words: Vec<u8> = [2u32, 2, 0, 2, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        seeds.add("vector_file", &[&[format as u8], &words[..]].concat());
    }
    for text in [
        "camera = 'c2' and year >= 2020",
        "not (a in (1, 'x', true) or \"b c\" like '%x_') and c is not null",
        "a between -1.5 and 2e3 or b is null or none != false",
    ] {
        seeds.add(
            "filter",
            &[text.as_bytes(), b"\xff[1, 2.5, \"x\", true, [1], {\"a\": null}, -0.0, 1e300]"].concat(),
        );
    }
    println!("{} inputs in {}", seeds.count, seeds.corpus.display());
}

struct Seeds {
    corpus: PathBuf,
    count: usize,
}

impl Seeds {
    fn add(&mut self, target: &str, bytes: &[u8]) {
        let folder = self.corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder for the corpus");
        fs::write(folder.join(format!("seed-{:04}", self.count)), bytes).expect("room for the corpus");
        self.count += 1;
    }

    /// The tables of an image file, of which a few rows are enough.
    fn add_tables(&mut self, bytes: &[u8]) {
        let Ok(layout) = patchdex_format::Layout::parse(bytes, "images") else { return };
        let part = |name: &str, row: usize| {
            let section = layout.section(name).expect("every image file has it");
            let start = section.offset as usize;
            let all = &bytes[start..start + section.size_bytes() as usize];
            all[..all.len().min(row * 2)].to_vec()
        };
        let (images, views, paths) = (part("images", 80), part("views", 40), part("paths", 32));
        let counts = [(images.len() / 80) as u8, (views.len() / 40) as u8];
        let tables = [&counts[..], &images, &views, &paths].concat();
        self.add("images", &tables);
        let len = [(tables.len() / 16) as u8];
        self.add("segment", &[&len[..], &tables].concat());
        let whole = tables.len().next_multiple_of(16);
        let padded = [&tables[..], &vec![b'a'; whole - tables.len()]].concat();
        let said = b"\x01\x01\x00\xff[\"a\"]\xff[5]";
        self.add("segment", &[&[(whole / 16) as u8][..], &padded, said].concat());
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the fixtures").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
