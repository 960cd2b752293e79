//! Bad images become rejects with a reason, the rest is indexed and answers; bad models and libraries are refused.

use std::collections::BTreeMap;
use std::path::Path;

use patchdex::picture::Picture;
use serde_json::Value;

use crate::workspace::{Workspace, cached_model, hit_images, keys, photo};

/// Rejects by path: reason and message.
fn rejects(list: &Value) -> BTreeMap<String, (String, String)> {
    let text = |reject: &Value, key: &str| reject[key].as_str().unwrap().to_owned();
    let list = list.as_array().unwrap().iter();
    list.map(|reject| {
        assert_eq!(keys(reject), ["message", "path", "reason"]);
        (text(reject, "path"), (text(reject, "reason"), text(reject, "message")))
    })
    .collect()
}

/// A PNG that ends after a header that claims 40,000×40,000 pixels.
fn bomb() -> Vec<u8> {
    let side = 40_000u32.to_be_bytes();
    let header = [b"IHDR", side.as_slice(), &side, &[8, 2, 0, 0, 0]].concat();
    let checksum = header.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    });
    let parts = [b"\x89PNG\r\n\x1a\n".as_slice(), &13u32.to_be_bytes(), &header, &(!checksum).to_be_bytes()];
    parts.concat()
}

#[test]
fn images_that_cannot_be_read_are_listed_with_reasons_and_the_rest_is_indexed() {
    let work = Workspace::new();
    work.photos(&["coins.png", "coffee.png"]);
    let rocket = std::fs::read(photo("rocket.jpg")).unwrap();
    work.write("photos/empty.png", "");
    work.write("photos/cut.jpg", &rocket[..rocket.len() / 2]);
    work.write("photos/text.jpg", "this is no photograph");
    work.write("photos/bomb.png", bomb());
    let run = work.index("photos", "c", &["--json"]).ended(3);
    let made = run.json();
    assert_eq!((&made["images"], &made["embedded_views"]), (&2.into(), &2.into()));
    let expected = [
        ("bomb.png", "too_large", "40000x40000"),
        ("cut.jpg", "truncated", "cut short"),
        ("empty.png", "empty", "0 bytes"),
        ("text.jpg", "not_an_image", "this is no"),
    ];
    let found = rejects(&made["rejects"]);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (path, reason, told) in expected {
        assert_eq!(found[path].0, reason);
        assert!(found[path].1.contains(told), "{path}: {}", found[path].1);
    }
    let text = std::fs::read_to_string(work.at("c/rejects.jsonl")).unwrap();
    let listed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rejects(&Value::from(listed)), found);
    let answer = work.run(["query", "c", "photos/coins.png", "--json"]).done().json();
    assert_eq!(hit_images(&answer), ["coins.png", "coffee.png"]);
    work.run(["query", "c", "photos/text.jpg"]).refused(1, &["this is no", "give a JPEG, PNG"]);
    let told = work.index("photos", "d", &[]).ended(3).stderr;
    assert!(told.contains("4 not indexed, listed in d/rejects.jsonl"), "{told}");
}

#[test]
fn one_pixel_and_the_first_frame_of_an_animation_are_images() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    work.write("photos/dot.png", Picture { width: 1, height: 1, rgb: vec![200, 30, 30] }.to_png());
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures/animated.gif");
    work.write("photos/moving.gif", std::fs::read(fixture).unwrap());
    assert_eq!(work.index("photos", "c", &["--json"]).done().json()["images"], 3);
    for name in ["dot.png", "moving.gif"] {
        let answer = work.run(["query", "c", &format!("photos/{name}"), "--json"]).done().json();
        assert_eq!(hit_images(&answer)[0], name);
    }
    let answer = work.run(["query", "c", "photos/dot.png", "--json"]).done().json();
    assert_eq!(answer["query"]["box"], serde_json::json!([0.0, 0.0, 1.0, 1.0]));
}

#[test]
fn copies_of_a_broken_image_are_rejects_too_and_the_same_command_again_agrees() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    let rocket = std::fs::read(photo("rocket.jpg")).unwrap();
    for name in ["a.jpg", "b.jpg", "z.jpg"] {
        work.write(Path::new("photos").join(name), &rocket[..rocket.len() / 2]);
    }
    let first = work.index("photos", "c", &["--json"]).ended(3).json();
    let found = rejects(&first["rejects"]);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a.jpg", "b.jpg", "z.jpg"]);
    assert!(found.values().all(|(reason, _)| reason == "truncated"));
    let again = work.index("photos", "c", &["--json"]).ended(3).json();
    assert_eq!((&again["unchanged"], &again["rejects"]), (&true.into(), &first["rejects"]));
}

#[test]
fn a_reject_that_was_repaired_since_is_not_called_up_to_date() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    work.write("photos/text.jpg", "not an image");
    work.index("photos", "c", &[]).ended(3);
    work.index("photos", "c", &[]).ended(3);
    std::fs::write(work.at("photos/text.jpg"), std::fs::read(photo("rocket.jpg")).unwrap()).unwrap();
    work.index("photos", "c", &[]).refused(2, &["1 new or changed, 0 gone", "patchdex add"]);
}

#[test]
fn copies_share_their_patches_and_are_each_listed() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    std::fs::copy(photo("coins.png"), work.at("photos/twin.png")).unwrap();
    let made = work.index("photos", "c", &["--json"]).done().json();
    assert_eq!((&made["images"], &made["embedded_views"]), (&2.into(), &1.into()));
    let one = work.index("photos/coins.png", "d", &["--json"]).done().json();
    assert_eq!(made["patches"], one["patches"]);
}

#[test]
fn a_folder_without_images_is_refused_with_what_is_looked_for() {
    let work = Workspace::new();
    work.write("papers/a.txt", "text");
    work.write("papers/b.pdf", "%PDF");
    work.index("papers", "c", &[]).refused(2, &["papers", "no images", "2 other files", "JPEG, PNG"]);
    work.index("papers", "c", &["--dry-run"]).refused(2, &["papers", "no images"]);
    assert!(!work.at("c").exists());
}

#[test]
fn images_of_kinds_that_are_not_read_are_counted_aloud() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    for name in ["a.heic", "deep/b.SVG", "c.avif"] {
        work.write(Path::new("photos").join(name), "x");
    }
    let told =
        "3 other image files not looked at (1 .avif, 1 .heic, 1 .svg): convert them to JPEG, PNG or WebP";
    let dry = work.index("photos", "c", &["--dry-run", "--json"]).done();
    let made = work.index("photos", "c", &["--json"]).done();
    let added = work.run(["add", "c", "photos"]).done();
    for run in [dry, made, added] {
        assert!(run.stderr.contains(told), "{}", run.stderr);
    }
    work.write("phone/a.heic", "x");
    work.index("phone", "d", &[])
        .refused(2, &["no images", "1 other image file not looked at (1 .heic): convert it"]);
}

#[test]
fn when_every_image_is_rejected_the_first_reason_is_told() {
    let work = Workspace::new();
    work.write("photos/a.png", "");
    work.write("photos/b.jpg", "text");
    work.index("photos", "c", &[]).refused(1, &["none of 2 images", "a.png", "0 bytes"]);
    assert!(!work.at("c/manifest.json").exists());
    // Once they are repaired, the same command goes on.
    std::fs::copy(photo("coins.png"), work.at("photos/a.png")).unwrap();
    let made = work.index("photos", "c", &["--json"]).ended(3).json();
    assert_eq!(made["images"], 1);
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn links_pipes_and_folders_named_like_images_neither_hang_nor_hide() {
        let work = Workspace::new();
        let photos = work.photos(&["coins.png"]);
        symlink("coins.png", photos.join("link.png")).unwrap();
        symlink("gone.jpg", photos.join("dangling.jpg")).unwrap();
        symlink(&photos, photos.join("loop")).unwrap();
        std::fs::create_dir(photos.join("folder.jpg")).unwrap();
        work.write("photos/folder.jpg/inside.png", std::fs::read(photo("moon.png")).unwrap());
        assert!(Command::new("mkfifo").arg(photos.join("pipe.jpg")).status().unwrap().success());
        symlink("/dev/zero", photos.join("endless.png")).unwrap();
        let run = work.index("photos", "c", &["--json"]).ended(3);
        let made = run.json();
        // The picture, the link to it, and the one in the folder.
        assert_eq!((&made["images"], &made["embedded_views"]), (&3.into(), &2.into()), "{made}");
        let found = rejects(&made["rejects"]);
        let reasons: Vec<_> =
            found.iter().map(|(path, (reason, _))| (path.as_str(), reason.as_str())).collect();
        let expected = [
            ("dangling.jpg", "unreadable"),
            ("endless.png", "not_a_file"),
            ("loop", "link_loop"),
            ("pipe.jpg", "not_a_file"),
        ];
        assert_eq!(reasons, expected);
        assert!(found["pipe.jpg"].1.contains("pipe"), "{}", found["pipe.jpg"].1);
        assert!(found["loop"].1.contains("leads back"), "{}", found["loop"].1);
        let forecast = work.index("photos", "x", &["--dry-run", "--json"]).done().json();
        assert_eq!((&forecast["images"], &forecast["rejects"]), (&3.into(), &4.into()));
        let again = work.index("photos", "c", &["--json"]).ended(3).json();
        assert_eq!((&again["unchanged"], &again["images"]), (&true.into(), &3.into()));
        std::fs::rename(work.at("c"), work.at(OsStr::from_bytes(b"c\xff"))).unwrap();
        for command in ["inspect", "verify"] {
            let mut named = crate::workspace::patchdex();
            named.arg(command).arg(work.at(OsStr::from_bytes(b"c\xff"))).arg("--json");
            let text = crate::workspace::Run::of(&mut named).done().json()["collection"].to_string();
            assert!(text.contains("c\u{fffd}"), "{text}");
        }
    }

    #[test]
    fn control_characters_in_names_are_printed_for_people_as_text() {
        let work = Workspace::new();
        work.photos(&["coins.png"]);
        std::fs::copy(photo("coins.png"), work.at("photos").join("a\n\x1b[31mred.png")).unwrap();
        work.write("photos/b\x1b.jpg", "text");
        let shown = r"a\n\u{1b}[31mred.png";
        let index = work.index("photos", "c", &[]).ended(3);
        assert!(index.stderr.contains(r"  b\u{1b}.jpg: not an image"), "{}", index.stderr);
        work.run(["export", "c", "rows.npy"]).done();
        for arguments in [
            &["query", "c", "photos/coins.png", "--explain"][..],
            &["query", "c", "--vectors", "rows.npy", "--prepared", "--top", "1"],
            &["inspect", "c", "--images"],
            &["remove", "c", "a*", "--dry-run"],
        ] {
            let run = work.run(arguments).done();
            assert!(run.stdout.contains(shown), "{arguments:?}: {}", run.stdout);
            assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{arguments:?}");
        }
        let answer = work.run(["query", "c", "photos/coins.png", "--json"]).done().json();
        assert_eq!(hit_images(&answer)[0], "a\n\x1b[31mred.png");
        let missing = work.run(["query", "c", "gone\x1b.png"]).refused(1, &[r"gone\u{1b}.png"]);
        assert!(!missing.stderr.contains('\x1b'));
    }

    #[test]
    fn only_links_that_lead_nowhere_are_named() {
        let work = Workspace::new();
        std::fs::create_dir(work.at("photos")).unwrap();
        symlink("gone.jpg", work.at("photos/dangling.jpg")).unwrap();
        work.index("photos", "c", &[]).refused(1, &["none of 1 image could", "dangling.jpg"]);
        assert!(!work.at("c").exists());
    }

    #[test]
    fn names_that_are_no_utf8_are_indexed_found_and_rejected_like_others() {
        let work = Workspace::new();
        work.photos(&["coins.png"]);
        let named = |bytes: &[u8]| work.at("photos").join(OsStr::from_bytes(bytes));
        std::fs::copy(photo("moon.png"), named(b"mo\xffon.png")).unwrap();
        std::fs::write(named(b"bro\xfeken.jpg"), "text").unwrap();
        let run = work.index("photos", "c", &["--json"]).ended(3);
        assert_eq!(run.json()["images"], 2);
        assert_eq!(run.json()["rejects"][0]["path"], "bro\u{fffd}ken.jpg");
        let mut command = crate::workspace::patchdex();
        command.current_dir(work.at("")).args(["query", "c", "--json", "--html", "page.html"]);
        command.arg(named(b"mo\xffon.png"));
        let answer = crate::workspace::Run::of(&mut command).done().json();
        assert_eq!(hit_images(&answer)[0], "mo\u{fffd}on.png");
        let page = std::fs::read_to_string(work.at("page.html")).unwrap();
        assert!(!page.contains("cannot be shown"), "both pictures are drawn");
        let again = work.index("photos", "c", &["--json"]).ended(3).json();
        assert_eq!(again["unchanged"], true);
        work.run(["verify", "c"]).done();
    }

    /// As root the system refuses nothing, and there is nothing to see.
    #[test]
    fn a_file_that_may_not_be_read_is_a_reject() {
        let work = Workspace::new();
        let photos = work.photos(&["coins.png", "moon.png"]);
        let locked = photos.join("moon.png");
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read(&locked).is_err() {
            let made = work.index("photos", "c", &["--json"]).ended(3).json();
            assert_eq!(made["rejects"][0]["reason"], "unreadable");
        }
    }

    #[test]
    fn a_device_is_no_query_image() {
        let work = Workspace::new();
        let collection = crate::workspace::Demo::shared().collection();
        work.run(["query", collection.to_str().unwrap(), "/dev/null"]).refused(1, &["/dev/null", "0 bytes"]);
    }
}

#[test]
fn a_collection_of_another_model_is_refused_not_answered_wrongly() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    work.index("photos", "c", &["--prepare", "none"]).done();
    let other = ["query", "c", "photos/coins.png", "--model", "dinov2-small"];
    work.run(other).refused(1, &["c was made with model 'dinov2-small-b7'", "dinov2-small", "--model"]);
    let mut command = crate::workspace::patchdex();
    command.current_dir(work.at("")).env("PATCHDEX_MODEL", "dinov2-small").args(&other[..3]);
    crate::workspace::Run::of(&mut command).refused(1, &["was made with model 'dinov2-small-b7'"]);
}

#[test]
fn a_model_folder_that_prepares_pictures_otherwise_now_is_refused() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    let model = work.model_copy(&cached_model("dinov2-small-b7"), "m");
    work.index("photos", "c", &["--model", model.to_str().unwrap()]).done();
    work.run(["query", "c", "photos/coins.png"]).done();
    let file = model.join("preprocessor_config.json");
    let sound = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, sound.replace("0.485", "0.5")).unwrap();
    work.run(["query", "c", "photos/coins.png"]).refused(1, &["preprocessor_config.json", "restore it"]);
    // Keys that change nothing are no reason to refuse.
    std::fs::write(&file, sound.replacen('{', "{\n  \"note\": 1,", 1)).unwrap();
    work.run(["query", "c", "photos/coins.png"]).done();
}

#[test]
fn a_model_folder_that_moved_is_found_by_its_flag_and_missed_by_name() {
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    let model = work.model_copy(&crate::workspace::fixture_model("sound"), "here");
    work.index("photos", "c", &["--model", model.to_str().unwrap()]).done();
    std::fs::rename(&model, work.at("there")).unwrap();
    work.run(["query", "c", "photos/coins.png"]).refused(1, &["model folder", "patchdex model list"]);
    work.run(["query", "c", "photos/coins.png", "--model", "there"]).done();
}
