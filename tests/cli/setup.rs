//! `patchdex setup` and the scripts of `tools/`: what is there is not fetched again, what is missing is named with the
//! package to install.

use std::path::Path;
use std::process::Command;

use crate::workspace::{Run, Workspace, patchdex};

#[test]
fn a_second_setup_needs_no_network() {
    let mut command = patchdex();
    // Whoever asked for a package now would fail.
    command.arg("setup").env("PIP_NO_INDEX", "1").env("PIP_INDEX_URL", "http://127.0.0.1:9/");
    let run = Run::of(&mut command).done();
    for ready in ["lib/", "models/dinov2-small-b7", "models/dinov2-small", "photos"] {
        assert!(run.stderr.contains(&format!("ready    {ready}")), "{}", run.stderr);
    }
    assert!(!run.stderr.contains("download") && !run.stderr.contains("extract"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn setup_without_python_names_the_package() {
    let work = Workspace::new();
    let mut command = patchdex();
    command.arg("setup").env("PATH", work.at("nothing")).env("XDG_CACHE_HOME", work.at("cache"));
    Run::of(&mut command).refused(1, &["python3 was not found", "apt install python3 python3-venv"]);
}

#[cfg(unix)]
#[test]
fn the_scripts_name_each_missing_tool_in_one_line() {
    let work = Workspace::new();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    std::fs::create_dir(work.at("bin")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/dirname", work.at("bin/dirname")).unwrap();
    for script in ["quickstart", "test"] {
        let mut command = Command::new("/bin/bash");
        command.arg(tools.join(script)).env("PATH", work.at("bin")).stdin(std::process::Stdio::null());
        let run = Run::of(&mut command).ended(1);
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{script}: {}", run.stderr);
        for (line, (tool, package)) in lines.iter().zip([
            ("cargo", "apt install cargo"),
            ("a C compiler (cc)", "apt install build-essential"),
            ("python3 (3.9 or later)", "apt install python3 python3-venv"),
        ]) {
            assert!(line.starts_with(&format!("error: {tool} is missing")), "{line}");
            assert!(line.contains(package), "{line}");
        }
    }
}
