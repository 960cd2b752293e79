//! What `patchdex index` does when the system refuses: a full disk, a limit, a place that may not be written to, a place
//! that is something else. It says which file and what to do, changes nothing that was there, and goes on afterwards.
//! Runs the real binary with the installed model.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // the tests make the images they index
#![allow(clippy::print_stderr)] // a test that cannot run here says why

mod states;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use states::{assert_same, files};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_patchdex");
/// Prepared and raw vectors, tiles, a fitted map: every kind of file is written.
const OPTIONS: &str = "--long-side 56 --views tiles:48/0 --prepare pca:8 --vectors i8 --keep-raw --threads 2";

/// A folder with a few small images, and the command that indexes them.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let model = patchdex::model::cache_dir().join("models").join(patchdex::model::DEFAULT_MODEL);
        assert!(
            model.join("config.json").is_file(),
            "the default model is not at {}; 'python3 tools/setup.py' installs it",
            model.display()
        );
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        for seed in 1..4u32 {
            let pixel = |x: u32, y: u32| {
                let wave = |k: u32| ((x * k + y * seed * 3) % 256) as u8;
                image::Rgb([wave(seed), wave(5), (x * y * seed % 251) as u8])
            };
            let picture = image::RgbImage::from_fn(64, 48, pixel);
            picture.save(folder.path().join(format!("images/{seed}.png"))).unwrap();
        }
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The shell words of the index command into `out`.
    fn command(&self, out: &Path) -> String {
        format!("'{BINARY}' index '{}' --out '{}' {OPTIONS}", self.at("images").display(), out.display())
    }

    /// Runs a shell script.
    fn shell(&self, script: &str) -> Output {
        Command::new("sh").arg("-c").arg(script).output().unwrap()
    }

    /// The files of an undisturbed run.
    fn undisturbed(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let out = self.at("undisturbed");
        let output = self.shell(&self.command(&out));
        assert!(output.status.success(), "{}", stderr(&output));
        files(&out)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Ended with 1; one line that names something in `out` and says `advice`.
fn assert_refused(output: &Output, out: &Path, advice: &str) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(out.to_str().unwrap()), "does not name the file: {message}");
    assert!(message.contains(advice), "does not say what to do: {message}");
    assert!(!message.contains("panicked"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_limit_of_file_sizes_is_named_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let expected = bench.undisturbed();
    let out = bench.at("limited");
    let mut refusals = 0;
    // Blocks of 512 bytes or 1 KiB, as the shell has it: from the first file to the last and largest.
    for blocks in [0, 1, 3, 30, 90, 160, 200, 300] {
        let alone = bench.at(&format!("alone-{blocks}"));
        for out in [&out, &alone] {
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; {}", bench.command(out));
            let output = bench.shell(&script);
            if output.status.success() {
                assert_same(out, &expected, &format!("{blocks} blocks"));
                continue;
            }
            refusals += 1;
            assert_refused(&output, out, "free some space");
            assert!(stderr(&output).contains("run the same command again"));
            assert!(!out.join("manifest.json").exists(), "nothing is published");
            if out == &alone {
                let output = bench.shell(&bench.command(out));
                assert!(output.status.success(), "{}", stderr(&output));
                assert_same(out, &expected, &format!("after {blocks} blocks"));
            }
        }
    }
    assert!(refusals >= 8, "the limits were met ({refusals} refusals)");
    let output = bench.shell(&bench.command(&out));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same(&out, &expected, "without a limit");
}

/// Runs a script as root of its own mount namespace; none where the system does not allow that.
fn in_namespace(bench: &Bench, script: &str) -> Option<Output> {
    let probe = Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs \"$0\""])
        .arg(bench.folder.path())
        .output();
    match probe {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            eprintln!("skipped: no mounts in a user namespace here: {}", stderr(&output).trim());
            return None;
        }
        Err(error) => {
            eprintln!("skipped: unshare cannot be run: {error}");
            return None;
        }
    }
    Some(Command::new("unshare").args(["-rm", "sh", "-c", script]).output().unwrap())
}

#[test]
fn a_full_disk_is_named_and_the_same_command_goes_on() {
    let bench = Bench::new();
    let expected = bench.undisturbed();
    let (disk, copy, log) = (bench.at("disk"), bench.at("copy"), bench.at("log"));
    fs::create_dir(&disk).unwrap();
    let out = disk.join("out");
    for kib in [8, 40, 120, 220] {
        let _ = fs::remove_dir_all(&copy);
        let script = format!(
            "mount -t tmpfs -o size={kib}k tmpfs '{disk}' || exit 99
            {index} 2>'{log}'; code=$?
            test -e '{out}/manifest.json' && exit 98
            mount -o remount,size=8m '{disk}' || exit 97
            {index} || exit 96
            cp -r '{out}' '{copy}' && cat '{log}' >&2 && exit $code",
            index = bench.command(&out),
            disk = disk.display(),
            out = out.display(),
            log = log.display(),
            copy = copy.display(),
        );
        let Some(output) = in_namespace(&bench, &script) else { return };
        assert_refused(&output, &out, "free some space");
        assert!(stderr(&output).contains("No space left on device"), "{}", stderr(&output));
        assert_same(&copy, &expected, &format!("{kib} KiB"));
    }
}

#[test]
fn a_read_only_place_is_named() {
    let bench = Bench::new();
    let disk = bench.at("disk");
    fs::create_dir(&disk).unwrap();
    let out = disk.join("below/out");
    let script = format!("mount -t tmpfs -o ro tmpfs '{}' && {}", disk.display(), bench.command(&out));
    if let Some(output) = in_namespace(&bench, &script) {
        assert_refused(&output, &out, "choose a place that you may write to");
    }
}

#[test]
fn a_place_below_a_file_is_named() {
    let bench = Bench::new();
    fs::write(bench.at("file"), "a text").unwrap();
    let out = bench.at("file/out");
    let output = bench.shell(&bench.command(&out));
    assert_refused(&output, &out, "choose another place");
    assert_eq!(fs::read(bench.at("file")).unwrap(), b"a text");
}

#[test]
fn a_folder_with_other_things_is_left_alone() {
    let bench = Bench::new();
    let out = bench.at("thesis");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("chapter 1.txt"), "years of work").unwrap();
    let before = files(bench.folder.path());
    let output = bench.shell(&bench.command(&out));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(out.to_str().unwrap()) && message.contains("chapter 1.txt"), "{message}");
    assert!(message.contains("choose another folder"), "{message}");
    assert_eq!(files(bench.folder.path()), before);
    assert!(!out.join("writer.lock").exists());
}

#[test]
fn a_file_in_the_place_of_the_collection_is_left_alone() {
    let bench = Bench::new();
    let out = bench.at("notes.txt");
    fs::write(&out, "years of work").unwrap();
    let output = bench.shell(&bench.command(&out));
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("notes.txt") && message.contains("choose another folder"), "{message}");
    assert_eq!(fs::read(&out).unwrap(), b"years of work");
}

#[test]
fn another_collection_is_left_alone() {
    let bench = Bench::new();
    let before = bench.undisturbed();
    let out = bench.at("undisturbed");
    let output = bench.shell(&format!("{} --max-pixels 1000000", bench.command(&out)));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing was changed"), "{}", stderr(&output));
    assert_same(&out, &before, "refused");
}
