//! Configurations as they are found on the hub, and ones that are wrong.

#![allow(clippy::disallowed_methods)]

use super::*;
use crate::picture::Filter;

const BIT: &str = r#"{"crop_size":{"height":224,"width":224},"do_center_crop":true,"do_convert_rgb":true,
    "do_normalize":true,"do_rescale":true,"do_resize":true,"image_mean":[0.485,0.456,0.406],
    "image_processor_type":"BitImageProcessor","image_std":[0.229,0.224,0.225],"resample":3,
    "rescale_factor":0.00392156862745098,"size":{"shortest_edge":256}}"#;
const OLD_VIT: &str = r#"{"do_normalize":true,"do_resize":true,"feature_extractor_type":"ViTFeatureExtractor",
    "image_mean":[0.5,0.5,0.5],"image_std":[0.5,0.5,0.5],"resample":2,"size":224}"#;
const DINOV2: &str = r#"{"model_type":"dinov2","patch_size":14,"hidden_size":384,"image_size":518}"#;

fn folder(config: &str, processor: &str, graphs: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("onnx")).unwrap();
    std::fs::write(dir.path().join("config.json"), config).unwrap();
    std::fs::write(dir.path().join("preprocessor_config.json"), processor).unwrap();
    for graph in graphs {
        std::fs::write(dir.path().join(graph), "").unwrap();
    }
    dir
}

fn load(config: &str, processor: &str) -> Result<ModelSpec, SpecError> {
    ModelSpec::load(folder(config, processor, &["onnx/model.onnx"]).path(), None)
}

fn told(config: &str, processor: &str) -> String {
    load(config, processor).unwrap_err().to_string()
}

#[test]
fn a_dinov2_folder_is_understood() {
    let spec = load(DINOV2, BIT).unwrap();
    assert_eq!((spec.patch_px, spec.hidden_size, spec.prefix_tokens), (14, 384, Some(1)));
    assert_eq!((spec.family.as_str(), spec.image_px, spec.variant.as_str()), ("dinov2", Some(518), "fp32"));
    assert_eq!(spec.image.resize, Resize::ShortestEdge(256));
    assert_eq!(spec.image.crop, Some(Crop { width: 224, height: 224 }));
    assert_eq!(spec.image.filter, Filter::Bicubic);
    assert_eq!(spec.image.mean, [0.485, 0.456, 0.406]);
    let kept = serde_json::to_string(&spec.image).unwrap();
    assert_eq!(serde_json::from_str::<ImageSpec>(&kept).unwrap(), spec.image);
}

#[test]
fn prefix_tokens_follow_the_family() {
    for (config, tokens) in [
        (r#"{"model_type":"vit","patch_size":16,"hidden_size":192}"#, Some(1)),
        (r#"{"model_type":"vit_mae","patch_size":16,"hidden_size":768}"#, Some(1)),
        (r#"{"model_type":"beit","patch_size":16,"hidden_size":768}"#, Some(1)),
        (r#"{"model_type":"deit","patch_size":16,"hidden_size":192}"#, Some(2)),
        (
            r#"{"model_type":"dinov2_with_registers","patch_size":14,"hidden_size":384,"num_register_tokens":4}"#,
            Some(5),
        ),
        (r#"{"model_type":"dinov3_vit","patch_size":16,"hidden_size":384,"num_register_tokens":4}"#, Some(5)),
        (r#"{"model_type":"clip","vision_config":{"patch_size":32,"hidden_size":768}}"#, Some(1)),
        (r#"{"model_type":"siglip","vision_config":{"model_type":"siglip_vision_model"}}"#, Some(0)),
        (r#"{"model_type":"new","patch_size":[16,16],"hidden_size":8}"#, None),
        (r#"{"model_type":"new","patch_size":16,"hidden_size":8,"patchdex":{"prefix_tokens":3}}"#, Some(3)),
        (r#"{"model_type":"vit","patch_size":16,"hidden_size":8,"patchdex":{"prefix_tokens":0}}"#, Some(0)),
    ] {
        assert_eq!(load(config, BIT).unwrap().prefix_tokens, tokens, "{config}");
    }
}

#[test]
fn the_patchdex_object_names_model_output_and_licence() {
    let config = DINOV2.replace(
        '}',
        r#","patchdex":{"name":"dinov2-small-b7","output":"hidden_states.7","licence":"MIT"}}"#,
    );
    let spec = load(&config, BIT).unwrap();
    assert_eq!((spec.name.as_str(), spec.output.as_deref()), ("dinov2-small-b7", Some("hidden_states.7")));
    assert_eq!(spec.licence.as_deref(), Some("MIT"));
}

#[test]
fn old_files_and_every_form_of_size_are_read() {
    let square = Resize::Exact { width: 224, height: 224 };
    assert_eq!(load(DINOV2, OLD_VIT).unwrap().image.resize, square);
    assert_eq!(load(DINOV2, OLD_VIT).unwrap().image.crop, None);
    let clip = OLD_VIT.replace("ViTFeature", "CLIPFeature").replace("\"resample\":2,", "");
    let image = load(DINOV2, &clip).unwrap().image;
    assert_eq!((image.resize, image.filter), (Resize::ShortestEdge(224), Filter::Bicubic));
    for (size, rule) in [
        (r#"{"longest_edge":512}"#, Resize::LongestEdge(512)),
        (r#"{"height":224,"width":224}"#, square),
        (r#"{"shortest_edge":224}"#, Resize::ShortestEdge(224)),
    ] {
        let processor = OLD_VIT.replace("\"size\":224", &format!("\"size\":{size}"));
        assert_eq!(load(DINOV2, &processor).unwrap().image.resize, rule);
    }
    let kept = OLD_VIT.replace("\"do_resize\":true", "\"do_resize\":false");
    assert_eq!(load(DINOV2, &kept).unwrap().image.resize, Resize::Keep);
}

#[test]
fn faults_name_file_key_and_remedy() {
    let message = told(r#"{"model_type":"vit","hidden_size":8}"#, BIT);
    assert!(
        message.contains("config.json") && message.contains("\"patch_size\" is missing: write"),
        "{message}"
    );
    let message = told(DINOV2, &OLD_VIT.replace("image_mean", "mean"));
    assert!(message.contains("preprocessor_config.json: \"image_mean\" is missing"), "{message}");
    for (processor, key) in [
        (OLD_VIT.replace("\"resample\":2", "\"resample\":9"), "\"resample\" is 9"),
        (OLD_VIT.replace("[0.5,0.5,0.5]", "[0.5,0.5]"), "\"image_mean\""),
        (
            OLD_VIT.replace("\"image_std\":[0.5,0.5,0.5]", "\"image_std\":[0.5,0,0.5]"),
            "\"image_std\" holds a zero",
        ),
        (OLD_VIT.replace("\"size\":224", "\"size\":{\"height\":3}"), "\"size\" has keys"),
        (OLD_VIT.replace("\"size\":224", "\"size\":{\"shortest_edge\":-3}"), "\"size.shortest_edge\""),
        (OLD_VIT.replace("ViTFeatureExtractor", "NewProcessor"), "\"size\" is a bare number"),
        (BIT.replace("\"crop_size\"", "\"other\""), "\"crop_size\" is missing"),
    ] {
        let message = told(DINOV2, &processor);
        assert!(message.contains(key), "{message}");
    }
    assert!(told("[]", BIT).contains("not a JSON object"));
    assert!(told("{", BIT).contains("not a JSON object"));
    assert!(
        told(r#"{"model_type":"vit","patch_size":[16,8],"hidden_size":8}"#, BIT).contains("only squares")
    );
}

#[test]
fn normalisation_may_be_off() {
    let off = OLD_VIT.replace("\"do_normalize\":true", "\"do_normalize\":false").replace("image_mean", "no");
    let image = load(DINOV2, &off).unwrap().image;
    assert_eq!((image.do_normalize, image.mean), (false, [0.0; 3]));
}

#[test]
fn variants_choose_the_graph() {
    let dir = folder(DINOV2, BIT, &["onnx/model.onnx", "onnx/model_quantized.onnx", "onnx/model_fp16.onnx"]);
    let graph = |variant| ModelSpec::load(dir.path(), variant).map(|s| s.graph);
    let named = |name: &str| dir.path().join("onnx").join(name);
    assert_eq!(graph(None).unwrap(), named("model.onnx"));
    assert_eq!(graph(Some("fp32")).unwrap(), named("model.onnx"));
    assert_eq!(graph(Some("fp16")).unwrap(), named("model_fp16.onnx"));
    assert_eq!(graph(Some("int8")).unwrap(), named("model_quantized.onnx"));
    let error = graph(Some("q4")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(
        error.to_string().contains("model_q4.onnx") && error.to_string().contains("fp16, fp32, quantized"),
        "{error}"
    );
    assert!(graph(Some("../x")).is_err());
}

#[test]
fn graphs_may_stand_in_the_folder_itself() {
    let dir = folder(DINOV2, BIT, &["vision_model.onnx"]);
    assert_eq!(ModelSpec::load(dir.path(), None).unwrap().graph, dir.path().join("vision_model.onnx"));
    let empty = folder(DINOV2, BIT, &[]);
    assert!(ModelSpec::load(empty.path(), None).unwrap_err().to_string().contains("no .onnx file"));
    let gone = ModelSpec::load(Path::new("/no/such/folder"), None).unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[test]
fn a_snapshot_of_the_hub_has_the_models_name() {
    let name = folder_name(Path::new("/cache/hub/models--onnx-community--dinov2-small/snapshots/abc123"));
    assert_eq!(name, "onnx-community/dinov2-small");
    assert_eq!(folder_name(Path::new("/models/my-model/")), "my-model");
}
