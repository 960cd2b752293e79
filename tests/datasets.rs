//! The tools that make and convert labelled sets (`tools/datasets/`) against pictures, a video and files of which all is known.
//!
//! The checks are in `tools/check_datasets.py` and `tools/check_judged.py`, which fetch their libraries into the cache.
#![allow(missing_docs, reason = "tests document themselves by their names")]

use std::path::Path;
use std::process::Command;

fn checked(script: &str) {
    let work = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools").join(script);
    let run = Command::new("python3").arg(script).arg(work.path()).output().expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");
}

#[test]
fn boxes_of_labelled_sets_lie_where_things_are_seen() {
    checked("check_datasets.py");
}

#[test]
fn ground_truth_of_benchmarks_is_converted() {
    checked("check_judged.py");
}
