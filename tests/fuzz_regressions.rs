//! Replays what fuzzing found: every input under `index-format/fuzz/regressions/` through the reader that it was found in.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // readers get temporary files

#[path = "../index-format/fuzz/src/readers.rs"]
#[allow(clippy::expect_used, dead_code, reason = "shared with the fuzz targets")]
mod readers;

use std::fs;
use std::path::Path;

#[test]
fn what_fuzzing_found_is_read_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("index-format/fuzz/regressions");
    for (name, reader) in readers::ALL {
        for input in fs::read_dir(folder.join(name)).into_iter().flatten() {
            let input = input.unwrap().path();
            let bytes = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| reader(&bytes));
            assert!(outcome.is_ok(), "{}", input.display());
        }
        reader(b"");
        reader(&[0xff; 300]);
    }
}

#[test]
fn every_folder_of_inputs_belongs_to_a_reader() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("index-format/fuzz/regressions");
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readers::ALL.iter().any(|(reader, _)| *reader == name), "{name}");
    }
}
