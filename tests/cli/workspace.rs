//! The fixture: a temporary folder, the binary with a clean environment and a time limit, what a run gave, and the one
//! collection of all photographs that the whole test binary shares.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use patchdex::core::Bbox;
use patchdex::exchange::{ParquetPatches, PatchBlock, VectorFile, VectorFileWriter};
use patchdex::model::{DEFAULT_MODEL, cache_dir};
use serde_json::Value;
use tempfile::TempDir;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(240);
/// Photographs of few bytes, which decode quickly.
pub const QUICK_PHOTOS: [&str; 12] = [
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "moon.png",
    "rocket.jpg",
    "astronaut.png",
];

/// The cache folder with all that the tests need.
///
/// # Panics
/// When something is missing: a skipped test would look like a passed one.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let cache = cache_dir();
        let model = cache.join("models").join(DEFAULT_MODEL);
        let photos = QUICK_PHOTOS.iter().chain(&["motorcycle_left.png", "motorcycle_right.png"]);
        let needed = [model.join("config.json"), model.join("onnx/model.onnx")]
            .into_iter()
            .chain([cache.join("models/dinov2-small/onnx/model.onnx"), library()])
            .chain(photos.map(|name| cache.join("photos").join(name)));
        let missing: Vec<PathBuf> = needed.filter(|path| !path.is_file()).collect();
        assert!(
            missing.is_empty(),
            "these tests need ONNX Runtime, the models and the photographs; install them with 'patchdex setup'. \
             Missing: {missing:?}"
        );
        cache
    })
}

/// The ONNX Runtime library of the cache.
pub fn library() -> PathBuf {
    let name = match std::env::consts::OS {
        "windows" => "onnxruntime.dll",
        "macos" => "libonnxruntime.dylib",
        _ => "libonnxruntime.so",
    };
    cache_dir().join("lib").join(name)
}

/// The folder of the sample photographs.
pub fn photos_dir() -> PathBuf {
    installed().join("photos")
}

/// A sample photograph.
pub fn photo(name: &str) -> PathBuf {
    photos_dir().join(name)
}

/// A model folder of the cache.
pub fn cached_model(name: &str) -> PathBuf {
    installed().join("models").join(name)
}

/// A model folder among the fixtures.
pub fn fixture_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

/// The binary, with nothing of the caller's settings.
pub fn patchdex() -> Command {
    installed();
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchdex"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("PATCHDEX_")) {
        command.env_remove(name);
    }
    command.env_remove("ORT_DYLIB_PATH").stdin(Stdio::null());
    command
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Runs `command` to its end, within [`LIMIT`].
    pub fn of(command: &mut Command) -> Self {
        Self::end_of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for a process whose outputs are piped.
    pub fn end_of(mut child: Child) -> Self {
        fn reader(stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
            let mut stream = stream;
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).unwrap();
                String::from_utf8(bytes).unwrap()
            })
        }
        let (stdout, stderr) = (reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap()));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > LIMIT {
                child.kill().unwrap();
                panic!("still running after {LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        Self {
            code: status.code().unwrap_or(-1),
            stdout: stdout.join().unwrap(),
            stderr: stderr.join().unwrap(),
        }
    }

    /// Asserts success.
    #[track_caller]
    pub fn done(self) -> Self {
        self.ended(0)
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts a failure with `code`, nothing on standard output, no panic, and a message with all of `parts`.
    #[track_caller]
    pub fn refused(self, code: i32, parts: &[&str]) -> Self {
        let run = self.ended(code);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "'{part}' is not in: {}", run.stderr);
        }
        run
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A temporary folder.
pub struct Workspace {
    dir: TempDir,
}

impl Workspace {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and its folder when that is missing.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Copies photographs into folder `photos`.
    pub fn photos(&self, names: &[&str]) -> PathBuf {
        for name in names {
            self.write(Path::new("photos").join(name), std::fs::read(photo(name)).unwrap());
        }
        self.at("photos")
    }

    /// Runs the binary in this folder.
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Run {
        Run::of(patchdex().current_dir(self.dir.path()).args(arguments))
    }

    /// `index INPUT --out OUT` with small views and further arguments.
    pub fn index(&self, input: impl AsRef<OsStr>, out: &str, more: &[&str]) -> Run {
        let mut command = patchdex();
        command.current_dir(self.dir.path()).arg("index").arg(input).args(["--out", out]);
        if !more.contains(&"--long-side") {
            command.args(["--long-side", "112"]);
        }
        Run::of(command.args(more))
    }

    /// Copies a model folder, to change it.
    pub fn model_copy(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.at(name);
        std::fs::create_dir_all(to.join("onnx")).unwrap();
        for file in ["config.json", "preprocessor_config.json", "onnx/model.onnx"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        to
    }
}

/// The stored files of a collection: all under `segments/`, and the preparation.
pub fn stored(collection: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(collection)
        .into_iter()
        .filter(|(path, _)| path.starts_with("segments") || path.ends_with("preparation.pdx"))
        .collect()
}

/// Every file below a folder, by its relative path.
pub fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = std::fs::read(&path).unwrap();
                    found.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
                }
            }
        }
    }
    found
}

/// `manifest.json` of a collection.
pub fn manifest(collection: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(collection.join("manifest.json")).unwrap()).unwrap()
}

/// The rows of a vector file, and the numbers in each.
#[track_caller]
pub fn rows_of(path: &Path) -> (Vec<f32>, usize) {
    let file = VectorFile::open(path).unwrap_or_else(|error| panic!("{error}"));
    let mut rows = vec![0.0; file.rows() * file.dim()];
    file.read(0, &mut rows).unwrap();
    (rows, file.dim())
}

/// Writes a vector file.
pub fn write_rows(path: &Path, rows: &[f32], dim: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = VectorFileWriter::create(path, (rows.len() / dim) as u64, dim).unwrap();
    file.push(rows).unwrap();
    file.finish().unwrap();
}

/// The one block of a small Parquet file, and the names of its metadata columns.
#[track_caller]
pub fn patches_of(path: &Path) -> (PatchBlock, Vec<String>) {
    let mut patches = ParquetPatches::open(path).unwrap_or_else(|error| panic!("{error}"));
    let block = patches.next().unwrap().unwrap();
    assert_eq!(block.images.len() as u64, patches.rows(), "one block");
    (block, patches.columns().iter().map(|column| column.name.clone()).collect())
}

/// Names of an object's keys, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The box of a hit.
pub fn box_of(hit: &Value) -> Bbox {
    serde_json::from_value(hit["box"].clone()).unwrap()
}

/// Images of the hits, best first.
pub fn hit_images(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["image"].as_str().unwrap()).collect()
}

/// What `patchdex demo` made of all sample photographs at the default size, once for the whole test binary.
pub struct Demo {
    folder: PathBuf,
    pub run: Run,
}

impl Demo {
    pub fn shared() -> &'static Self {
        static DEMO: OnceLock<Demo> = OnceLock::new();
        DEMO.get_or_init(|| {
            // In a static nothing would remove a temporary folder; this one is replaced by the next run.
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-demo");
            let _ = std::fs::remove_dir_all(&folder);
            let run = Run::of(patchdex().args(["demo", "--out"]).arg(&folder));
            Self { folder, run }
        })
    }

    pub fn collection(&self) -> PathBuf {
        assert_eq!(self.run.code, 0, "{}", self.run.stderr);
        self.folder.join("collection")
    }

    pub fn page(&self) -> PathBuf {
        self.folder.join("answer.html")
    }
}
