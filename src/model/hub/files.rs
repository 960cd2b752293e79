//! Which files of a repository make a model folder. Knows names only, neither the network nor the disk.

use super::HubError;

/// Wanted beside the graph where the repository has them. `config.json` is the one that must be there.
const OPTIONAL: [&str; 6] =
    ["preprocessor_config.json", "preparation.pdx", "LICENSE", "LICENSE.md", "LICENSE.txt", "README.md"];

/// Says what the graph's tokens are; no model without it.
const CONFIG: &str = "config.json";

/// Names of the variants, and the graphs that may stand for each, the preferred one first.
const VARIANTS: [(&str, &[&str]); 3] = [
    ("fp32", &["onnx/model.onnx"]),
    ("fp16", &["onnx/model_fp16.onnx"]),
    ("int8", &["onnx/model_int8.onnx", "onnx/model_quantized.onnx"]),
];

/// The graphs that may stand for `variant`, the preferred one first; without a variant, that of full precision.
pub(super) fn graphs(variant: Option<&str>) -> Result<&'static [&'static str], HubError> {
    let name = variant.unwrap_or("fp32");
    let found = VARIANTS.iter().find(|(known, _)| *known == name);
    found.map(|(_, graphs)| *graphs).ok_or_else(|| HubError::Variant { variant: name.to_owned() })
}

/// The variants that a repository with these files offers.
pub(super) fn variants_in(files: &[String]) -> Vec<&'static str> {
    let has = |graphs: &[&str]| graphs.iter().any(|graph| files.iter().any(|file| file == graph));
    VARIANTS.iter().filter(|(_, graphs)| has(graphs)).map(|(name, _)| *name).collect()
}

/// What to fetch out of `listed`, in the order in which to fetch it. The graph comes last: a snapshot that holds it
/// holds the rest too, however the call ended.
///
/// # Errors
/// The first file without which there is no model.
pub(super) fn choose(listed: &[String], graphs: &[&str]) -> Result<Vec<String>, String> {
    let has = |name: &str| listed.iter().any(|file| file == name);
    let graph = graphs.iter().find(|graph| has(graph)).ok_or_else(|| graphs.join(" or "))?;
    if !has(CONFIG) {
        return Err(CONFIG.to_owned());
    }
    let mut wanted = vec![CONFIG.to_owned()];
    wanted.extend(OPTIONAL.iter().filter(|name| has(name)).map(|name| (*name).to_owned()));
    wanted.extend(listed.iter().filter(|file| is_external_data(file, graph)).cloned());
    wanted.push((*graph).to_owned());
    Ok(wanted)
}

/// The ONNX files among `listed`.
pub(super) fn onnx_files(listed: &[String]) -> Vec<String> {
    listed.iter().filter(|file| file.ends_with(".onnx")).cloned().collect()
}

/// Tensors over 2 GB, kept beside the graph as `X.onnx_data`, `X.onnx_data_1`, ... or `X.onnx.data`.
pub(in crate::model) fn is_external_data(file: &str, graph: &str) -> bool {
    let Some(suffix) = file.strip_prefix(graph) else { return false };
    let numbered = |rest: &str| rest.strip_prefix('_').is_some_and(is_number);
    suffix == ".data" || suffix.strip_prefix("_data").is_some_and(|rest| rest.is_empty() || numbered(rest))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_graph_comes_after_all_it_needs() {
        let files = listed(&[
            ".gitattributes",
            "README.md",
            "config.json",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1",
            "onnx/model.onnx_data_../x",
            "onnx/model_fp16.onnx",
            "onnx/model_fp16.onnx_data",
        ]);
        let wanted = choose(&files, graphs(None).unwrap()).unwrap();
        let expected =
            ["config.json", "README.md", "onnx/model.onnx_data", "onnx/model.onnx_data_1", "onnx/model.onnx"];
        assert_eq!(wanted, expected);
        assert_eq!(variants_in(&files), ["fp32", "fp16"]);
    }

    #[test]
    fn int8_falls_back_to_the_older_name() {
        let files = listed(&["config.json", "onnx/model_quantized.onnx"]);
        let wanted = choose(&files, graphs(Some("int8")).unwrap()).unwrap();
        assert_eq!(wanted.last().unwrap(), "onnx/model_quantized.onnx");
        assert_eq!(choose(&files, graphs(None).unwrap()).unwrap_err(), "onnx/model.onnx");
        assert!(matches!(graphs(Some("q4")), Err(HubError::Variant { .. })));
    }
}
