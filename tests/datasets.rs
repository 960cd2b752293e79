//! The tools that make labelled sets (`tools/datasets/`) against pictures and a video of which all is known.
//!
//! The checks are in `tools/check_datasets.py`, which fetches their libraries into the cache.
#![allow(missing_docs, reason = "tests document themselves by their names")]

use std::path::Path;
use std::process::Command;

#[test]
fn boxes_of_labelled_sets_lie_where_things_are_seen() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_datasets.py");
    let run = Command::new("python3").arg(script).arg(work.path()).output().expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");
}
