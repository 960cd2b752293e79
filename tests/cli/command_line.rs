//! What all commands share: help, completions, exit codes, closed pipes, full outputs.

use crate::workspace::{Demo, Run, Workspace, patchdex, photo, write_rows};

fn run(arguments: &[&str]) -> Run {
    Run::of(patchdex().args(arguments))
}

#[test]
fn the_help_of_each_command_mentions_its_options() {
    let commands: [(&[&str], &[&str]); 14] = [
        (
            &[],
            &["index", "query", "inspect", "verify", "model", "setup", "demo", "completions", "Exit codes"],
        ),
        (
            &["index"],
            &[
                "--out",
                "--files-from",
                "--model",
                "--variant",
                "--output",
                "--input",
                "--onnxruntime",
                "--device",
                "--threads",
                "--long-side",
                "--views",
                "--prepare",
                "--drop-dims",
                "--vectors",
                "--metric",
                "--index",
                "--keep-raw",
                "--memory",
                "--batch",
                "--max-pixels",
                "--dry-run",
                "--json",
                "PATCHDEX_MODEL",
                "PATCHDEX_THREADS",
            ],
        ),
        (
            &["query"],
            &[
                "--box",
                "--top",
                "--exact",
                "--model",
                "--explain",
                "--json",
                "--jsonl",
                "--html",
                "--vectors",
                "--prepared",
                "--raw",
                "--coco",
                "of this commit",
            ],
        ),
        (&["export"], &[".parquet", ".npy", "--raw", "--where", "--force", "--json", "of this commit"]),
        (&["import"], &[".parquet", ".npy", "--out", "--metric", "--vectors", "--json"]),
        (&["inspect"], &["--images", "--json"]),
        (&["verify"], &["--json"]),
        (&["model"], &["list", "pull", "check", "prepare"]),
        (&["model", "check"], &["--image", "--long-side", "--json", "--variant"]),
        (&["model", "pull"], &["--revision", "--variant", "--accept-licence"]),
        (&["model", "prepare"], &["--method", "--long-sides", "--out"]),
        (
            &["bench", "ann"],
            &["--data", "--queries", "--ef", "--threads", "--csv", "--svg", "--html", "--json"],
        ),
        (&["setup"], &["--only", "lib", "photos"]),
        (&["demo"], &["--image", "--box", "--out"]),
    ];
    for (command, options) in commands {
        let help = run(&[command, &["--help"]].concat()).done();
        for option in options {
            assert!(help.stdout.contains(option), "{command:?} {option}: {}", help.stdout);
        }
        assert_eq!(help.stderr, "");
    }
}

#[test]
fn every_shell_has_a_completion_script_with_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).done().stdout;
        for word in ["patchdex", "index", "query", "long-side"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    run(&["completions", "tcsh"]).refused(2, &["tcsh", "zsh"]);
}

#[test]
fn the_version_is_printed() {
    assert_eq!(run(&["--version"]).done().stdout, format!("patchdex {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_no_command_is_a_usage_error() {
    run(&[]).refused(2, &["Usage"]);
    run(&["serch"]).refused(2, &["serch", "Usage"]);
    run(&["query", "c"]).refused(2, &["IMAGE"]);
    run(&["inspect", "--all", "c"]).refused(2, &["--all"]);
    run(&["query", "c", "i", "--json", "--jsonl"]).refused(2, &["--jsonl"]);
}

#[test]
fn of_arguments_that_stand_for_each_other_all_are_asked_for() {
    for (arguments, asked) in [
        (&["index", "--out", "c"][..], &["IMAGES", "--files-from"][..]),
        (&["add", "c"], &["<COLLECTION> <IMAGES|--files-from <FILE>|--metadata <FILE>>"]),
        (&["query", "c"], &["<COLLECTION> <IMAGE|--indexed <IMAGE>|--vectors <FILE>>"]),
        (&["remove", "c"], &["<COLLECTION> <IMAGES|--id <ID>|--missing>"]),
        (&["prepare", "c"], &["<COLLECTION> <MAP|--drop-dims <N>>"]),
    ] {
        run(arguments).refused(2, asked);
    }
}

#[test]
fn a_file_where_a_collection_belongs_is_named_and_so_is_a_swap() {
    let work = Workspace::new();
    work.write("a.jpg", "text");
    write_rows(&work.at("rows.npy"), &[1.0, 2.0], 2);
    work.run(["import", "rows.npy", "--out", "c"]).done();
    for command in ["inspect", "verify", "repair", "compact"] {
        work.run([command, "a.jpg"]).refused(2, &["a.jpg is a file, not a collection; give the folder"]);
    }
    work.run(["prepare", "a.jpg", "centre"]).refused(2, &["a.jpg is a file, not a collection"]);
    work.run(["merge", "out", "c", "a.jpg"]).refused(2, &["a.jpg is a file, not a collection"]);
    work.run(["merge", "a.jpg", "c", "c"]).refused(2, &["a.jpg exists", "choose another folder"]);
    for command in ["query", "add", "remove", "export"] {
        work.run([command, "a.jpg", "c"]).refused(2, &["a.jpg is a file", "c is one: swap both"]);
        work.run([command, "a.jpg", "b"]).refused(2, &["a.jpg is a file", "give the folder"]);
    }
}

#[cfg(unix)]
mod unix {
    use std::process::{Command, Stdio};

    use super::*;

    /// Exit code of the binary in a pipe whose reader goes away at once.
    fn code_in_pipe(redirect: &str, arguments: &[&str]) -> (i32, String) {
        let mut shell = Command::new("bash");
        let pipe = format!("\"$@\" {redirect} | true; echo ${{PIPESTATUS[0]}}");
        shell.arg("-c").arg(pipe).arg("bash").arg(env!("CARGO_BIN_EXE_patchdex")).args(arguments);
        let run = Run::of(shell.stdin(Stdio::null()));
        (run.stdout.trim().parse().unwrap(), run.stderr)
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let collection = Demo::shared().collection();
        let collection = collection.to_str().unwrap();
        let coins = photo("coins.png");
        let query = ["query", collection, coins.to_str().unwrap(), "--explain"];
        for arguments in
            [&["inspect", collection, "--images"][..], &["completions", "bash"], &["--help"], &query]
        {
            for redirect in ["", "2>&1"] {
                let (code, stderr) = code_in_pipe(redirect, arguments);
                assert_eq!(code, 0, "{arguments:?} {redirect}: {stderr}");
                assert!(!stderr.contains("panicked"), "{stderr}");
            }
        }
        // A failure stays one, whoever listens.
        assert_eq!(code_in_pipe("2>&1", &["inspect", "/nonexistent"]).0, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_output_that_is_full_is_a_failure() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" > /dev/full", "sh", env!("CARGO_BIN_EXE_patchdex"), "completions", "bash"]);
        Run::of(&mut shell).refused(1, &["standard output"]);
    }
}
