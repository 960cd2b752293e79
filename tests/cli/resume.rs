//! Interrupted in every way that a test can: killed, signalled, out of room, torn files. The same command goes on where it
//! stopped, embeds nothing twice, and ends with the bytes of an undisturbed run.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::{QUICK_PHOTOS, Run, Workspace, fixture_model, patchdex, stored};

/// Slow enough to be caught in the middle.
const OPTIONS: [&str; 6] = ["--long-side", "224", "--threads", "1", "--prepare", "remove:2"];

fn command(work: &Workspace, out: &str) -> Command {
    let mut command = patchdex();
    command.current_dir(work.at("")).args(["index", "photos", "--json", "--out", out]).args(OPTIONS);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whole lines of the journal: images that are done.
fn lines(work: &Workspace, out: &str) -> usize {
    let text = std::fs::read(work.at(out).join("building/journal.jsonl")).unwrap_or_default();
    text.iter().filter(|&&byte| byte == b'\n').count()
}

/// Starts an index and waits until `images` are done, or it ends by itself.
fn started(work: &Workspace, out: &str, images: usize) -> Child {
    let mut child = command(work, out).spawn().unwrap();
    let start = Instant::now();
    while lines(work, out) < images && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn workspace() -> Workspace {
    let work = Workspace::new();
    work.photos(&QUICK_PHOTOS);
    work
}

/// Ends the index in `out` and compares it with an undisturbed one. Returns how many images were done before.
fn finish_as_undisturbed(work: &Workspace, out: &str) -> u64 {
    let before = lines(work, out);
    let last = Run::end_of(command(work, out).spawn().unwrap()).done().json();
    let (resumed, embedded) = (last["resumed"].as_u64().unwrap(), last["embedded_views"].as_u64().unwrap());
    assert!(resumed as usize <= before);
    assert_eq!(resumed + embedded, 12);
    assert_eq!(last["images"], 12);
    Run::end_of(command(work, "undisturbed").spawn().unwrap()).done();
    assert!(stored(&work.at(out)) == stored(&work.at("undisturbed")));
    let names = |out: &str| crate::workspace::files_below(&work.at(out)).into_keys().collect::<Vec<_>>();
    assert_eq!(names(out), names("undisturbed"));
    work.run(["verify", out]).done();
    resumed
}

#[test]
fn killed_at_any_moment_the_same_command_goes_on_and_embeds_nothing_twice() {
    let work = workspace();
    let mut done = 0;
    for (images, pause_ms) in [(0, 150), (1, 0), (3, 37), (6, 11), (10, 60)] {
        let child = started(&work, "c", images);
        std::thread::sleep(Duration::from_millis(pause_ms));
        killed(child);
        // What was done stays done.
        assert!(lines(&work, "c") >= done || work.at("c/manifest.json").exists());
        done = lines(&work, "c");
    }
    if !work.at("c/manifest.json").exists() {
        assert!(finish_as_undisturbed(&work, "c") >= 6);
    }
}

#[test]
fn killed_while_the_files_are_written_nothing_is_left_behind() {
    let work = workspace();
    killed(started(&work, "c", 5));
    work.write("c/segments/000001/vectors.pdx.tmp-999", vec![7; 5000]);
    work.write("c/segments/000001/images.pdx", "half");
    work.write("c/manifest.json.tmp-999", "{");
    assert!(finish_as_undisturbed(&work, "c") >= 5);
}

#[test]
fn a_torn_line_and_a_spool_that_was_cut_short_are_done_again() {
    let work = workspace();
    killed(started(&work, "c", 6));
    let (journal, spool) = (work.at("c/building/journal.jsonl"), work.at("c/building/vectors.spool"));
    let before = lines(&work, "c") as u64;
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"{\"path\":{\"text\":\"moon.png\"},\"file_by");
    std::fs::write(&journal, bytes).unwrap();
    // The last image's vectors are not all there, though its line is.
    let file = std::fs::File::options().write(true).open(&spool).unwrap();
    let whole: u64 = last_end(&std::fs::read_to_string(&journal).unwrap());
    file.set_len(whole - 100).unwrap();
    assert_eq!(finish_as_undisturbed(&work, "c"), before - 1);
}

/// The end of the last whole line's vectors in the spool.
fn last_end(journal: &str) -> u64 {
    let lines: Vec<&str> = journal.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
    let json = lines.last().unwrap().split_once('\t').unwrap().0;
    let record: serde_json::Value = serde_json::from_str(json).unwrap();
    let spooled = &record["outcome"]["Done"]["spooled"];
    spooled[0].as_u64().unwrap() + spooled[1].as_u64().unwrap()
}

#[test]
fn a_line_that_was_changed_is_not_trusted() {
    let work = workspace();
    killed(started(&work, "c", 6));
    let journal = work.at("c/building/journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let third = text.match_indices("\"width\":").nth(2).unwrap().0;
    let mut bytes = text.into_bytes();
    bytes[third + 8] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    assert_eq!(finish_as_undisturbed(&work, "c"), 2);
}

fn stopped_by(name: &str) {
    let work = workspace();
    let child = started(&work, "c", 1);
    signal(&child, name);
    let run = Run::end_of(child).refused(1, &["of 12 images", "run the same command again to go on"]);
    assert!(run.stderr.contains("stopping after the images in flight"), "{}", run.stderr);
    assert!(!work.at("c/manifest.json").exists());
    assert!(finish_as_undisturbed(&work, "c") >= 1);
}

#[test]
fn an_interrupt_ends_after_the_images_in_flight_and_can_be_resumed() {
    stopped_by("INT");
}

#[test]
fn a_request_to_terminate_ends_after_the_images_in_flight_and_can_be_resumed() {
    stopped_by("TERM");
}

#[test]
fn a_second_process_is_told_who_is_at_work() {
    let work = workspace();
    let first = started(&work, "c", 1);
    signal(&first, "STOP");
    let second = Run::end_of(command(&work, "c").spawn().unwrap());
    let pid = first.id().to_string();
    signal(&first, "CONT");
    second.refused(1, &["c is being written by process", &pid, "wait"]);
    Run::end_of(first).done();
    work.run(["verify", "c"]).done();
}

#[test]
fn images_that_change_between_two_runs_are_done_again() {
    let work = workspace();
    killed(started(&work, "c", 6));
    // The first ones in order are done.
    let photos = work.at("photos");
    std::fs::remove_file(photos.join("astronaut.png")).unwrap();
    std::fs::copy(photos.join("rocket.jpg"), photos.join("brick.png")).unwrap();
    let last = Run::end_of(command(&work, "c").spawn().unwrap()).done().json();
    assert_eq!(last["images"], 11);
    let listed = work.run(["inspect", "c", "--images", "--json"]).done().json();
    let images = listed["images"].as_array().unwrap();
    assert!(images.iter().all(|image| image["path"] != "astronaut.png"));
    let brick = images.iter().find(|image| image["path"] == "brick.png").unwrap();
    assert_eq!((&brick["width"], &brick["height"]), (&640.into(), &427.into()));
    work.run(["verify", "c"]).done();
}

/// Runs with a limit on the size of files, which writes beyond it meet as an error.
fn with_file_limit(work: &Workspace, blocks: usize, model: &Path, more: &[&str]) -> Run {
    let mut shell = Command::new("sh");
    shell.current_dir(work.at("")).stdin(Stdio::null());
    shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"")).arg("sh");
    shell.arg(env!("CARGO_BIN_EXE_patchdex")).args([
        "index",
        "photos",
        "--out",
        "c",
        "--long-side",
        "224",
        "--model",
    ]);
    Run::of(shell.arg(model).args(more))
}

#[test]
fn a_full_disk_ends_the_run_with_advice_and_loses_nothing() {
    let work = workspace();
    let model = crate::workspace::cached_model("dinov2-small-b7");
    // So little memory that every image waits for the one before it to be written.
    let small = ["--memory", "1", "--vectors", "f32", "--prepare", "none", "--json"];
    let run = with_file_limit(&work, 1000, &model, &small).refused(1, &["cannot write", "free some space"]);
    assert!(run.stderr.contains("c/building/vectors.spool"), "{}", run.stderr);
    let kept = lines(&work, "c");
    assert!(kept >= 1);
    let last = with_file_limit(&work, 1_000_000, &model, &small).done().json();
    assert_eq!((&last["resumed"], &last["images"]), (&kept.into(), &12.into()));
    work.run(["verify", "c"]).done();
}

#[test]
fn a_model_that_fails_ends_the_run_even_with_little_memory() {
    let work = workspace();
    let model = fixture_model("fails_when_run");
    for memory in ["1", "1G"] {
        let fixed = ["index", "photos", "--out", "c", "--memory", memory, "--model", model.to_str().unwrap()];
        work.run(fixed).refused(1, &["the model failed on a picture of"]);
    }
}
