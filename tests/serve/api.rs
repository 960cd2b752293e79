//! The service held against its own description, by requests that Schemathesis makes of it.

use std::path::Path;
use std::process::Command;

use crate::server::own_collection;

#[test]
fn every_answer_is_as_described() {
    let workspace = own_collection(&["coffee.png", "moon.png", "rocket.jpg"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/check_api.py");
    let run = Command::new("python3")
        .arg(script)
        .arg(workspace.at("photos.pdx"))
        .args(["--writable", "--examples", "5", "--binary", env!("CARGO_BIN_EXE_patchdex")])
        .output()
        .expect("python3 is installed");
    let (stdout, stderr) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{stdout}\n{stderr}");
}
