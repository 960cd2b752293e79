//! `patchdex model list` and `check`, models that cannot give patch tokens, and ONNX Runtime where it is not.

use std::path::Path;

use crate::workspace::{Run, Workspace, cached_model, fixture_model, keys, library, patchdex, photo};

fn check(model: &Path, more: &[&str]) -> Run {
    Run::of(patchdex().args(["model", "check"]).arg(model).args(["--long-side", "56"]).args(more))
}

#[test]
fn the_models_of_the_cache_are_listed() {
    let listed = Run::of(patchdex().args(["model", "list", "--json"])).done().json();
    let models = listed["models"].as_array().unwrap();
    let named = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    let default = named("dinov2-small-b7");
    assert_eq!(
        keys(default),
        ["default", "error", "folder", "hidden_size", "licence", "name", "patch_px", "prepared"]
    );
    assert_eq!((&default["default"], &default["patch_px"]), (&true.into(), &14.into()));
    assert_eq!(named("dinov2-small")["default"], false);
    assert!(default["licence"].as_str().unwrap().contains("Apache-2.0"));
    let text = Run::of(patchdex().args(["model", "list"])).done().stdout;
    assert!(text.lines().any(|line| line.starts_with("* dinov2-small-b7")), "{text}");
}

#[test]
fn known_models_are_listed_with_licence_and_recommendation() {
    let listed = Run::of(patchdex().args(["model", "list", "--json"])).done().json();
    let known = listed["known"].as_array().unwrap();
    let named = |name: &str| known.iter().find(|model| model["name"] == name).unwrap();
    assert_eq!(
        (&named("mae-vitb16")["drop_dims"], &named("mae-vitb16")["gated"]),
        (&200.into(), &false.into())
    );
    assert_eq!(named("dinov3-vits16")["gated"], true);
    let text = Run::of(patchdex().args(["model", "list"])).done().stdout;
    let at = text.lines().position(|line| line.trim_start().starts_with("mae-vitb16")).unwrap();
    assert!(text.lines().nth(at + 1).unwrap().contains("--long-side 512 --drop-dims 200: "), "{text}");
}

#[test]
fn a_gated_model_is_pulled_only_when_its_licence_is_accepted() {
    let work = Workspace::new();
    let pull = |more: &[&str]| {
        let mut command = patchdex();
        command.args(["model", "pull", "onnx-community/dinov3-vits16-pretrain-lvd1689m-ONNX"]).args(more);
        Run::of(command.env("HF_HUB_CACHE", work.at("hub")).env("HF_HUB_OFFLINE", "1"))
    };
    pull(&[]).refused(2, &["DINOv3 License", "https://", "--accept-licence"]);
    pull(&["--accept-licence"]).refused(1, &["licence of the weights: DINOv3 License", "HF_HUB_OFFLINE"]);
}

#[test]
fn an_empty_cache_lists_none_but_the_known_ones_and_says_what_installs_a_model() {
    let work = Workspace::new();
    let mut command = patchdex();
    command.args(["model", "list"]).env("XDG_CACHE_HOME", work.at("")).env("HF_HOME", work.at("hub"));
    let run = Run::of(&mut command).done();
    assert!(run.stdout.starts_with("\nknown, "), "{}", run.stdout);
    assert!(run.stderr.contains("patchdex setup"), "{}", run.stderr);
}

#[test]
fn the_default_model_passes_its_check() {
    let report = Run::of(patchdex().args(["model", "check", "--long-side", "112", "--json"])).done().json();
    assert_eq!(report["name"], "dinov2-small-b7");
    assert_eq!(report["output"], "hidden_states.7");
    assert_eq!((&report["patch_px"], &report["prefix_tokens"]), (&14.into(), &1.into()));
    assert_eq!((&report["hidden_size"], &report["size"]), (&384.into(), &"dynamic".into()));
    assert_eq!(report["graph"]["inputs"][0]["name"], "pixel_values");
    assert!(report["images_per_s"].as_f64().unwrap() > 0.0);
    let text = check(&cached_model("dinov2-small-b7"), &["--threads", "1"]).done().stdout;
    for told in
        ["pixel_values", "hidden_states.7", "1 prefix", "any multiple of 14 px", "images/s", "1 thread"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
}

#[test]
fn the_model_to_check_is_named_by_place_flag_or_environment() {
    let name = |command: &mut std::process::Command| {
        Run::of(command.args(["--long-side", "56", "--json"])).done().json()["name"].clone()
    };
    let sound = fixture_model("sound");
    assert_eq!(name(patchdex().args(["model", "check"]).arg(&sound)), "sound");
    assert_eq!(name(patchdex().args(["model", "check", "--model"]).arg(&sound)), "sound");
    assert_eq!(name(patchdex().args(["model", "check"]).env("PATCHDEX_MODEL", &sound)), "sound");
}

#[test]
fn a_pulled_model_is_named_as_it_is_listed() {
    let work = Workspace::new();
    let snapshot = work.at("hub/models--owner--small/snapshots/0123456789");
    let model = fixture_model("sound");
    for name in ["config.json", "preprocessor_config.json", "onnx/model.onnx"] {
        work.write(snapshot.join(name), std::fs::read(model.join(name)).unwrap());
    }
    let hub = |arguments: &[&str]| Run::of(patchdex().args(arguments).env("HF_HUB_CACHE", work.at("hub")));
    assert!(hub(&["model", "list"]).done().stdout.contains("owner/small"));
    hub(&["model", "check", "owner/small", "--long-side", "56"]).done();
    hub(&["model", "check", "owner/large"]).refused(1, &["owner/large is no model folder", "model list"]);
}

#[test]
fn a_graph_of_one_size_says_so_and_stretches_views_to_it() {
    let text = check(&fixture_model("sound_at_56_px"), &[]).done().stdout;
    assert!(text.contains("56x56 px only"), "{text}");
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png"]);
    let model = fixture_model("sound_at_56_px");
    let made = work.index("photos", "c", &["--json", "--model", model.to_str().unwrap()]).done().json();
    assert_eq!(made["patches"], 2 * 14 * 14);
    let answer = work.run(["query", "c", "photos/coins.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["image"], "coins.png");
}

#[test]
fn models_that_cannot_give_patch_tokens_are_refused_with_the_reason() {
    let refusals: [(&str, &[&str]); 9] = [
        ("batch_of_eight", &["model.onnx takes 8 pictures at once", "export it"]),
        ("no_tokens", &["no patch tokens", "'pooled'", "last_hidden_state"]),
        ("no_picture", &["takes no picture", "[batch, 3, height, width]", "'text'"]),
        ("hidden_size_wrong", &["tokens of 8 numbers", "hidden_size 16", "correct config.json"]),
        ("size_not_of_patches", &["54x54 px only", "patches of 4 px", "another size"]),
        ("prefix_wrong", &["5 prefix tokens are expected", "prefix_tokens in config.json"]),
        ("input_wanted", &["'gsd'", "--input gsd=NUMBER"]),
        ("not_a_number", &["infinite or undefined"]),
        ("fails_when_run", &["the model failed on a picture of 56x"]),
    ];
    let work = Workspace::new();
    work.photos(&["coins.png"]);
    for (name, told) in refusals {
        let code = if name == "input_wanted" { 2 } else { 1 };
        let model = fixture_model(name);
        check(&model, &[]).refused(code, told);
        let named = ["--long-side", "56", "--model", model.to_str().unwrap()];
        work.index("photos", name, &named).refused(code, told);
        assert!(!work.at(name).join("manifest.json").exists());
    }
    for name in ["no_tokens", "no_picture", "hidden_size_wrong", "size_not_of_patches", "prefix_wrong"] {
        check(&fixture_model(name), &[]).refused(1, &[&format!("{name}/onnx/model.onnx")]);
    }
}

#[test]
fn an_extra_input_takes_its_value_from_the_command_line_and_queries_reuse_it() {
    let work = Workspace::new();
    work.photos(&["coins.png", "moon.png"]);
    let model = fixture_model("input_wanted");
    check(&model, &["--input", "gsd=0.5"]).done();
    check(&model, &["--input", "gsd=0.5", "--input", "zoom=1"]).refused(2, &["no input 'zoom'", "gsd"]);
    work.index("photos", "c", &["--model", model.to_str().unwrap(), "--input", "gsd=0.5"]).done();
    let answer = work.run(["query", "c", "photos/coins.png", "--json"]).done().json();
    assert_eq!(answer["hits"][0]["image"], "coins.png");
}

#[test]
fn folders_that_are_no_models_are_refused() {
    let work = Workspace::new();
    check(&work.at("gone"), &[])
        .refused(1, &["gone", "no config.json", "dinov2-small-b7", "patchdex model list", "patchdex setup"]);
    check(&work.at("mae-vitb16"), &[])
        .refused(1, &["not made yet", "tools/export mae mae-vitb16 --out mae-vitb16"]);
    let broken = work.model_copy(&fixture_model("sound"), "broken");
    std::fs::write(broken.join("onnx/model.onnx"), "not a graph").unwrap();
    check(&broken, &[]).refused(1, &["cannot load", "broken/onnx/model.onnx"]);
    std::fs::write(broken.join("onnx/model.onnx"), "").unwrap();
    check(&broken, &[]).refused(1, &["broken/onnx/model.onnx"]);
    std::fs::remove_file(broken.join("onnx/model.onnx")).unwrap();
    check(&broken, &[]).refused(1, &["broken", "no .onnx file", "pull the model"]);
    std::fs::write(broken.join("config.json"), "{").unwrap();
    check(&broken, &[]).refused(1, &["config.json", "not a JSON object"]);
    check(&fixture_model("sound"), &["--variant", "int8"]).refused(1, &["model_int8.onnx", "--variant"]);
    check(&fixture_model("sound"), &["--output", "pooled"]).refused(1, &["last_hidden_state"]);
    check(&fixture_model("sound"), &["--image", "gone.png"]).refused(1, &["gone.png", "no such file"]);
}

#[test]
fn a_device_is_used_as_asked_or_refused() {
    let told = check(&fixture_model("sound"), &["--device", "cpu"]).done();
    assert!(told.stdout.contains("device       cpu"), "{}", told.stdout);
    assert_eq!(check(&fixture_model("sound"), &["--json"]).done().json()["device"], "cpu");
    // What the tests fetch is the build for processors.
    for device in ["cuda", "tensorrt", "coreml", "directml", "openvino"] {
        check(&fixture_model("sound"), &["--device", device]).refused(1, &[device, "it has cpu", "--device"]);
    }
    check(&fixture_model("sound"), &["--device", "gpu"]).refused(2, &["gpu", "cuda"]);
}

#[test]
fn a_variant_is_chosen_for_the_machine_and_the_choice_is_explained() {
    let run = check(&fixture_model("sound"), &["--variant", "auto", "--json"]).done();
    assert!(run.stderr.contains("variant fp32: "), "{}", run.stderr);
    let to_gpu = check(&fixture_model("sound"), &["--variant", "auto", "--device", "cuda"]);
    to_gpu.refused(1, &["'cuda'", "it has cpu"]);
}

#[test]
fn a_missing_runtime_is_told_with_the_places_and_the_command_that_installs_it() {
    let work = Workspace::new();
    let sound = fixture_model("sound");
    check(&sound, &["--onnxruntime", "/nonexistent/lib.so"])
        .refused(1, &["/nonexistent/lib.so", "--onnxruntime", "patchdex setup"]);
    let mut named = patchdex();
    named.args(["model", "check"]).arg(&sound).env("ORT_DYLIB_PATH", "/nonexistent/lib.so");
    Run::of(&mut named).refused(1, &["/nonexistent/lib.so", "ORT_DYLIB_PATH"]);
    let mut empty = patchdex();
    empty.args(["model", "check", "--image"]).arg(photo("coins.png")).arg(&sound);
    let empty = Run::of(empty.env("XDG_CACHE_HOME", work.at("")));
    // The system may have one of its own.
    if empty.code != 0 {
        let cache = work.at("patchdex/lib");
        empty.refused(1, &["ONNX Runtime was not found", "patchdex setup", cache.to_str().unwrap()]);
    }
    let mut default = patchdex();
    default.args(["index", "."]).arg("--out").arg(work.at("c")).current_dir(crate::workspace::photos_dir());
    default.env("XDG_CACHE_HOME", work.at(""));
    Run::of(&mut default).refused(1, &["dinov2-small-b7", "patchdex setup"]);
}

#[test]
fn a_file_that_is_no_runtime_is_refused() {
    let work = Workspace::new();
    let text = work.write("text.so", "not a library");
    let told = ["text.so", "not a usable ONNX Runtime", "patchdex setup"];
    check(&fixture_model("sound"), &["--onnxruntime", text.to_str().unwrap()]).refused(1, &told);
    let whole = std::fs::read(library()).unwrap();
    let cut = work.write("cut.so", &whole[..whole.len() / 2]);
    check(&fixture_model("sound"), &["--onnxruntime", cut.to_str().unwrap()])
        .refused(1, &["cut.so", "cut short"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_library_that_is_not_the_runtime_is_refused() {
    let places = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"];
    let Some(libc) = places.iter().find(|path| Path::new(path).is_file()) else { return };
    check(&fixture_model("sound"), &["--onnxruntime", libc]).refused(1, &["libc.so.6", "ONNX Runtime"]);
}
