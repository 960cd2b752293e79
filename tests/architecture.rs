//! Holds the sources against ARCHITECTURE.md: a module imports only from rows below its own, some crates are used in
//! one place only, every file opens by saying what it owns.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of the rows of the table under `heading`, without backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = &text[text.find(heading).unwrap_or_else(|| panic!("no {heading}"))..];
    let rows: Vec<Vec<String>> = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect())
        .collect();
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}

/// Every Rust file below `folder` with its text, by its path relative to the repository.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root().join(folder)];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The code of a file: comment lines left out.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// The words that follow `prefix` in a line.
fn words_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let end = |text: &'a str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    line.match_indices(prefix)
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
        .map(|(at, _)| &line[at + prefix.len()..])
        .map(|rest| &rest[..end(rest)])
        .collect()
}

/// Whether a line of code names the crate `name`: in a path, or where it is imported.
fn names_crate(line: &str, name: &str) -> bool {
    let imported = line.trim_start().trim_start_matches("pub ").strip_prefix("use ");
    let imports = imported.is_some_and(|rest| words_after(&format!(" {rest}"), " ").first() == Some(&name));
    imports
        || words_after(line, name).iter().any(|rest| rest.is_empty()) && line.contains(&format!("{name}::"))
}

#[test]
fn modules_import_only_from_rows_below_their_own() {
    let rows: Vec<String> = table("## Layers").into_iter().map(|row| row[1].clone()).collect();
    let place = |module: &str| rows.iter().position(|row| *row == format!("src/{module}/"));
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let Some((module, _)) = path.strip_prefix("src/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        let own =
            place(module).unwrap_or_else(|| panic!("{path}: 'src/{module}/' has no row in ARCHITECTURE.md"));
        for line in code(&text) {
            for used in words_after(line, "crate::") {
                match place(used) {
                    Some(row) if row > own || used == module => {}
                    Some(_) => {
                        wrong.push(format!("{path} imports {used}, which is not below {module}: {line}"))
                    }
                    None => wrong.push(format!("{path} imports {used}, which has no row: {line}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_of_the_table_exists() {
    for row in table("## Layers") {
        assert!(root().join(&row[1]).is_dir(), "{} is in ARCHITECTURE.md only", row[1]);
    }
}

#[test]
fn the_format_crate_knows_nothing_of_the_root_crate_or_of_files() {
    for (path, text) in sources("index-format/src") {
        for word in ["patchdex::", "std::fs", "memmap2"] {
            assert!(!code(&text).any(|line| line.contains(word)), "{path} uses {word}");
        }
    }
}

#[test]
fn what_has_one_place_is_used_there_only() {
    let places: Vec<Vec<String>> = table("One place each");
    let folders = |name: &str| -> Vec<String> {
        let row = places.iter().find(|row| row[0].split(", ").any(|crate_name| crate_name == name));
        row.unwrap_or_else(|| panic!("{name}"))[1].split(", ").map(str::to_owned).collect()
    };
    let all = sources("src").into_iter().chain(sources("index-format/src"));
    let mut wrong = Vec::new();
    for (path, text) in all {
        let outside = |name: &str| !folders(name).iter().any(|folder| path.starts_with(folder.as_str()));
        for name in [
            "ort",
            "memmap2",
            "rkyv",
            "clap",
            "indicatif",
            "ureq",
            "maud",
            "parquet",
            "csv",
            "hnsw_rs",
            "libc",
            "axum",
            "tokio",
            "hyper",
            "hyper_util",
            "tower_http",
            "tracing",
            "tracing_subscriber",
            "prometheus",
        ] {
            if outside(name) && code(&text).any(|line| names_crate(line, name)) {
                wrong.push(format!("{path} uses {name}"));
            }
        }
        if outside("unsafe") && code(&text).any(|line| !words_after(line, "unsafe").is_empty()) {
            wrong.push(format!("{path} has unsafe code"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_search_for_crates_finds_them() {
    for line in ["use ort::session::Session;", "    pub use ort;", "let x = ort::init();", "use ort::{a, b};"]
    {
        assert!(names_crate(line, "ort"), "{line}");
    }
    for line in ["use crate::sort::x;", "let import = 1;", "use super::ort_file;", "sort::by()", "a.ort()"] {
        assert!(!names_crate(line, "ort"), "{line}");
    }
}

#[test]
fn every_file_opens_by_saying_what_it_owns() {
    let mut all = sources("src");
    for folder in ["index-format", "tests", "benches", "examples"] {
        if root().join(folder).is_dir() {
            all.extend(sources(folder));
        }
    }
    let silent: Vec<&String> =
        all.iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "no opening //! in {silent:?}");
}

#[test]
fn modules_are_nouns() {
    for path in sources("src").keys() {
        let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
        for vague in ["utils", "util", "common", "helpers", "helper", "types", "manager", "misc"] {
            assert_ne!(stem, vague, "{path}");
        }
    }
}
