//! `--out`: folders that are something else stay as they are; a place that cannot be written to is named.

use crate::workspace::{Workspace, files_below};

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.write("thesis/chapter.txt", "years of work");
    let before = files_below(&work.at("thesis"));
    work.index("photos", "thesis", &[])
        .refused(2, &["thesis", "chapter.txt", "another folder", "nothing was changed"]);
    assert!(files_below(&work.at("thesis")) == before);
    work.write("file", "a file");
    work.index("photos", "file", &[]).refused(2, &["file", "it is a file", "another folder"]);
    work.index("photos", "photos", &[]).refused(2, &["moon.png", "another folder"]);
    work.index("photos", "file/below", &[]).refused(1, &["file/below"]);
}

#[test]
fn an_empty_folder_is_taken() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    std::fs::create_dir(work.at("c")).unwrap();
    work.index("photos", "c", &[]).done();
    work.run(["verify", "c"]).done();
}

#[test]
fn a_collection_inside_the_folder_of_images_does_not_index_itself() {
    let work = Workspace::new();
    work.photos(&["moon.png", "coins.png"]);
    let first = work.index("photos", "photos/index", &["--json"]).done().json();
    assert_eq!(first["images"], 2);
    let page = work.at("photos/index.html");
    let ask = ["query", "photos/index", "photos/coins.png", "--html", page.to_str().unwrap()];
    work.run(ask).done();
    let again = work.index("photos", "photos/index", &["--json"]).done().json();
    assert_eq!((&again["unchanged"], &again["images"]), (&true.into(), &2.into()));
}

#[test]
fn an_unfinished_index_is_not_taken_over_by_another_command() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.write("c/building/source", "another command");
    work.index("photos", "c", &[])
        .refused(2, &["'patchdex index' of other", "run that command again, or remove"]);
    work.run(["query", "c", "photos/moon.png"]).refused(1, &["unfinished", "'patchdex index'"]);
    work.run(["inspect", "c"]).refused(1, &["unfinished", "'patchdex index'"]);
    for command in ["merge", "import"] {
        work.write("c/building/source", format!("{command} another"));
        work.index("photos", "c", &[])
            .refused(2, &[&format!("'patchdex {command}' of other"), "remove the folder"]);
        work.run(["inspect", "c"]).refused(1, &["unfinished", &format!("'patchdex {command}'")]);
    }
}

#[test]
fn an_unfinished_addition_is_named_and_not_taken_over_by_another_one() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.index("photos", "c", &[]).done();
    work.write("c/building/source", "add another");
    work.run(["add", "c", "photos"]).refused(2, &["'patchdex add' of other", "--restart"]);
    work.run(["add", "c", "photos", "--restart"]).done();
    assert!(!work.at("c/building").exists());
}

#[test]
fn what_a_killed_process_left_behind_a_finished_collection_is_cleared() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.index("photos", "c", &[]).done();
    let clean = files_below(&work.at("c"));
    work.write("c/building/vectors.spool", vec![0; 1000]);
    let again = work.index("photos", "c", &["--json"]).done().json();
    assert_eq!(again["unchanged"], true);
    assert!(!work.at("c/building").exists());
    let after = files_below(&work.at("c"));
    assert!(after.keys().eq(clean.keys()), "{:?}", after.keys());
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_that_takes_no_files_is_named() {
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    work.index("photos", "/proc/patchdex", &[]).refused(1, &["/proc/patchdex"]);
}

/// As root the system refuses nothing.
#[cfg(unix)]
#[test]
fn a_read_only_folder_is_named_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let work = Workspace::new();
    work.photos(&["moon.png"]);
    std::fs::create_dir(work.at("locked")).unwrap();
    std::fs::set_permissions(work.at("locked"), std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(work.at("locked/probe"), "").is_err() {
        work.index("photos", "locked/c", &[]).refused(1, &["locked/c", "may write to"]);
    }
    std::fs::set_permissions(work.at("locked"), std::fs::Permissions::from_mode(0o755)).unwrap();
}
