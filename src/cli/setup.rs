//! `patchdex setup`: ONNX Runtime, the default model and the sample photographs, fetched by the Python script that the
//! repository's tools use, carried in this binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::Outcome;
use super::failure::Failure;
use crate::core::Kind;
use crate::model::cache_dir;
use crate::storage;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these: lib (ONNX Runtime), model, photos
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = ["lib", "model", "photos"])]
    only: Vec<String>,
}

/// The files that the script needs beside itself.
const FILES: [(&str, &[u8]); 13] = [
    ("setup.py", include_bytes!("../../tools/setup.py")),
    ("cut_model.py", include_bytes!("../../tools/cut_model.py")),
    ("requirements-cut.txt", include_bytes!("../../tools/requirements-cut.txt")),
    ("models/dinov2-small-b7/config.json", include_bytes!("../../tools/models/dinov2-small-b7/config.json")),
    (
        "models/dinov2-small-b7/preprocessor_config.json",
        include_bytes!("../../tools/models/dinov2-small-b7/preprocessor_config.json"),
    ),
    (
        "models/dinov2-small-b7/preparation.pdx",
        include_bytes!("../../tools/models/dinov2-small-b7/preparation.pdx"),
    ),
    ("models/dinov2-small-b7/LICENSE", include_bytes!("../../tools/models/dinov2-small-b7/LICENSE")),
    ("models/dinov2-small-b7/README.md", include_bytes!("../../tools/models/dinov2-small-b7/README.md")),
    ("models/dinov2-small/config.json", include_bytes!("../../tools/models/dinov2-small/config.json")),
    (
        "models/dinov2-small/preprocessor_config.json",
        include_bytes!("../../tools/models/dinov2-small/preprocessor_config.json"),
    ),
    ("models/dinov2-small/LICENSE", include_bytes!("../../tools/models/dinov2-small/LICENSE")),
    ("models/dinov2-small/README.md", include_bytes!("../../tools/models/dinov2-small/README.md")),
    ("README", b"Unpacked by 'patchdex setup'; removed when it ends.\n"),
];

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let only =
        if arguments.only.is_empty() { "lib,model,photos".to_owned() } else { arguments.only.join(",") };
    let unpacked = Unpacked::new(&cache_dir().join(format!("setup-{}", std::process::id())))?;
    let script = unpacked.folder.join("setup.py");
    let python = if cfg!(windows) { "python" } else { "python3" };
    // Its progress is for people: standard output stays data.
    let status = Command::new(python)
        .arg(&script)
        .args(["--only", &only, "--cache"])
        .arg(cache_dir())
        .stdout(std::io::stderr())
        .status();
    match status {
        Ok(status) if status.success() => Ok(Outcome::Done),
        Ok(_) => {
            Err(Failure::new(Kind::Io, "setup did not finish; run it again, it goes on where it stopped"))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!(
                "{python} was not found; install it (Debian and Ubuntu: apt install python3 python3-venv)"
            );
            Err(Failure::new(Kind::NotFound, message))
        }
        Err(error) => Err(Failure::new(Kind::Io, format!("cannot run {python}: {error}"))),
    }
}

/// The script's files in a folder of their own, removed at the end.
struct Unpacked {
    folder: PathBuf,
}

impl Unpacked {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let unpacked = Self { folder: folder.to_owned() };
        for (name, bytes) in FILES {
            let path = folder.join(name);
            storage::create_dir_all(path.parent().unwrap_or(folder))?;
            storage::write_atomic(&path, bytes)?;
        }
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = storage::remove_dir_all(&self.folder);
    }
}
