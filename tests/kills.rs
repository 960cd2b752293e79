//! The built binary, killed at two hundred moments of every command that writes: the collection opens at its last commit,
//! all of it is sound, and the same command, killed again and again, ends with the bytes of an undisturbed run.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, clippy::unwrap_used, missing_docs)] // the tests make the images they index

mod states;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use patchdex::collection::{CollectionError, Draft};
use patchdex::storage::StorageError;
use states::{assert_same, assert_sound, copy, files, state};
use tempfile::TempDir;

const OPTIONS: [&str; 8] =
    ["--long-side", "42", "--keep-raw", "--prepare", "pca:32", "--threads", "1", "--json"];
/// Runs of one chain that are killed before it may end.
const CHAIN: usize = 4;

struct Bench {
    folder: TempDir,
    seed: u64,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let model = patchdex::model::cache_dir().join("models").join(patchdex::model::DEFAULT_MODEL);
        assert!(
            model.join("config.json").is_file(),
            "the default model is not at {}; 'python3 tools/setup.py' installs it",
            model.display()
        );
        let bench = Self { folder: tempfile::tempdir().unwrap(), seed };
        for seed in 1..8 {
            bench.picture(&format!("images/{seed}.png"), seed);
        }
        bench.picture("images/below/copy.png", 3);
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    fn picture(&self, name: &str, seed: u32) {
        states::write(&self.at(name), &states::picture(seed), u64::from(seed));
    }

    /// The same numbers in every run.
    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1u64 << 53) as f64
    }

    fn index(&self, out: &Path) -> Command {
        let mut command = patchdex("index");
        command.arg(self.at("images")).arg("--out").arg(out).args(OPTIONS);
        command
    }

    /// A collection of two commits, and images that are not in it as they are.
    fn collection(&self, name: &str) -> PathBuf {
        let out = self.at(name);
        done(&mut self.index(&out));
        for seed in 11..14 {
            self.picture(&format!("images/{seed}.png"), seed);
        }
        done(&mut self.add(&out));
        out
    }

    fn add(&self, out: &Path) -> Command {
        let mut command = patchdex("add");
        command.arg(out).arg(self.at("images")).args(["--threads", "1", "--json"]);
        command
    }

    /// Kills `command` on copies of `start` until that has been done `kills` times, in chains that end undisturbed.
    /// `again` is the exit code of a command whose commit stands already.
    fn killed(&mut self, start: &Path, kills: usize, again: i32, command: &dyn Fn(&Self, &Path) -> Command) {
        let whole = self.at("undisturbed");
        let mut span = Duration::MAX;
        for _ in 0..2 {
            copy(start, &whole);
            let begun = Instant::now();
            done(&mut command(self, &whole));
            span = span.min(begun.elapsed());
        }
        copy(start, &self.at("trial"));
        let (before, after) = (state(&self.at("trial")).unwrap(), state(&whole).unwrap());
        assert!(after.is_some() && before != after, "an undisturbed run commits");
        let (expected, out) = (files(&whole), self.at("trial"));
        let (mut hit, mut ended, mut chains) = (0, 0, 0);
        while hit < kills {
            copy(start, &out);
            for link in 0..CHAIN {
                let case = format!("kill {hit}, link {link}, in {span:?}");
                // Most of a run is the model's loading: half of the kills are spread over the last third.
                let late = if self.random() < 0.5 { 2.0 / 3.0 } else { 0.0 };
                let share = late + self.random() * (1.0 - late);
                let was_alive = kill_after(&mut command(self, &out), span.mul_f64(share));
                // Other processes come and go, and a run takes shorter or longer.
                match was_alive {
                    true if share > 0.9 => span = span.mul_f64(1.05),
                    true => {}
                    false => span = span.mul_f64(0.95),
                }
                hit += usize::from(was_alive);
                ended += usize::from(!was_alive);
                let found = state(&out).unwrap();
                assert!(found == before || found == after, "{case}: {found:?}");
                if found.is_some() {
                    assert_sound(&out, &case);
                }
                if link == 0 && found.is_some() && chains % 4 == 0 {
                    done(patchdex("verify").arg("--full").arg(&out));
                }
                if found == after {
                    break;
                }
            }
            chains += 1;
            let stood = state(&out).unwrap() == after;
            let last = command(self, &out).output().unwrap();
            let code = last.status.code().unwrap();
            assert!(code == 0 || stood && code == again, "chain {chains}: {code} {}", stderr(&last));
            assert_eq!(state(&out).unwrap(), after, "chain {chains}");
            assert_same(&out, &expected, &format!("chain {chains}"));
        }
        assert!(ended <= hit, "the delays are beyond the end: {ended} runs ended, {hit} were killed");
    }
}

fn patchdex(command: &str) -> Command {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_patchdex"));
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| name.to_string_lossy().starts_with("PATCHDEX_")) {
        binary.env_remove(name);
    }
    binary.env_remove("ORT_DYLIB_PATH").arg(command).stdin(Stdio::null());
    binary
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn done(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn quiet(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether it was still running when it was killed.
fn kill_after(command: &mut Command, delay: Duration) -> bool {
    let mut child = quiet(command);
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

#[test]
fn an_index_that_is_killed_goes_on() {
    let mut bench = Bench::new(1);
    let start = bench.at("nothing");
    bench.killed(&start, 50, 0, &|bench, out| bench.index(out));
}

#[test]
fn an_addition_that_is_killed_goes_on() {
    let mut bench = Bench::new(2);
    let start = bench.collection("start");
    fs::remove_file(bench.at("images/1.png")).unwrap();
    fs::rename(bench.at("images/2.png"), bench.at("images/moved.png")).unwrap();
    for (name, seed) in [("images/3.png", 21), ("images/new.png", 22), ("images/twin.png", 22)] {
        bench.picture(name, seed);
    }
    bench.killed(&start, 50, 0, &|bench, out| bench.add(out));
}

#[test]
fn what_writes_without_a_model_is_killed_too() {
    let mut bench = Bench::new(3);
    let start = bench.collection("start");
    bench.killed(&start, 20, 1, &|_, out| {
        let mut command = patchdex("remove");
        command.arg(out).args(["2.png", "12.png", "below"]);
        command
    });
    let thinned = bench.at("thinned");
    copy(&start, &thinned);
    done(patchdex("remove").arg(&thinned).arg("2.png"));
    bench.killed(&thinned, 40, 0, &|_, out| {
        let mut command = patchdex("compact");
        command.arg(out).arg("--all");
        command
    });
    bench.killed(&start, 20, 0, &|_, out| {
        let mut command = patchdex("prepare");
        command.arg(out).arg("whiten");
        command
    });
    let (nothing, first, second) = (bench.at("nothing"), bench.text("start"), bench.text("thinned"));
    bench.killed(&nothing, 20, 0, &|_, out| {
        let mut command = patchdex("merge");
        command.arg(out).args([&first, &second]);
        command
    });
}

#[test]
fn a_writer_that_stands_still_keeps_the_lock_and_one_that_is_killed_does_not() {
    let bench = Bench::new(4);
    let out = bench.at("out");
    let mut first = quiet(&mut bench.index(&out));
    let begun = Instant::now();
    while !out.join("building/journal.jsonl").exists() {
        assert!(first.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        assert!(begun.elapsed() < Duration::from_secs(60), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = first.id().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    let second = bench.index(&out).output().unwrap();
    let holder = match Draft::begin(&out, "another") {
        Err(CollectionError::Storage(StorageError::Busy { holder, .. })) => holder,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("two writers"),
    };
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", stderr(&second));
    assert!(stderr(&second).contains(&format!("is being written by process {pid}")), "{}", stderr(&second));
    assert_eq!(holder, pid);
    done(&mut bench.index(&out));
    assert_sound(&out, "taken over");
}
