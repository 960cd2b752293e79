//! `patchdex demo`: the main job in one command, on the sample photographs and on the user's own folder.

use crate::workspace::{Demo, Workspace, fixture_model, photo};

#[test]
fn the_demo_finds_the_second_motorcycle_and_says_what_to_run_next() {
    let demo = Demo::shared();
    assert_eq!(demo.run.code, 0, "{}", demo.run.stderr);
    let rows: Vec<&str> = demo.run.stdout.lines().collect();
    assert!(rows[0].starts_with("rank"), "{}", demo.run.stdout);
    assert!(rows[1].ends_with("motorcycle_left.png"), "{}", demo.run.stdout);
    assert!(rows[2].ends_with("motorcycle_right.png"), "{}", demo.run.stdout);
    for text in ["1. index", "2. query", "3. open", "patchdex index FOLDER --out", "patchdex query"] {
        assert!(demo.run.stderr.contains(text), "{text}: {}", demo.run.stderr);
    }
    let page = std::fs::read_to_string(demo.page()).unwrap();
    assert!(page.contains("motorcycle_right.png"));
}

#[test]
fn the_demo_takes_a_folder_of_the_users_own() {
    let work = Workspace::new();
    let photos = work.photos(&["coffee.png", "coins.png", "rocket.jpg"]);
    work.write("photos/broken.png", "no picture");
    let model = fixture_model("sound");
    let run = work.run(["demo", "photos", "--out", "mine", "--model", model.to_str().unwrap()]).ended(3);
    assert!(run.stderr.contains("broken.png: not an image"), "{}", run.stderr);
    // The first readable image is asked for, by its middle.
    assert!(run.stdout.lines().nth(1).unwrap().ends_with("coffee.png"), "{}", run.stdout);
    assert!(work.at("mine/answer.html").is_file());
    std::fs::remove_file(photos.join("broken.png")).unwrap();
}

#[test]
fn the_demo_asks_for_the_image_and_box_that_are_given() {
    let work = Workspace::new();
    work.photos(&["coffee.png", "rocket.jpg"]);
    let (model, image) = (fixture_model("sound"), photo("rocket.jpg"));
    let fixed =
        ["demo", "photos", "--out", "mine", "--box=-20,10,300,200", "--model", model.to_str().unwrap()];
    let run = work.run(fixed.iter().copied().chain(["--image", image.to_str().unwrap()])).done();
    assert!(run.stderr.contains("box -20,10,300,200"), "{}", run.stderr);
    assert!(run.stdout.lines().nth(1).unwrap().ends_with("rocket.jpg"), "{}", run.stdout);
}

#[test]
fn the_demo_without_sample_photographs_says_how_to_get_them() {
    let work = Workspace::new();
    let mut command = crate::workspace::patchdex();
    command.arg("demo").env("XDG_CACHE_HOME", work.at("empty")).current_dir(work.at(""));
    crate::workspace::Run::of(&mut command).refused(1, &["sample photographs", "patchdex setup"]);
}
