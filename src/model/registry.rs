//! Public models that are known: where their weights are, under which licence, and how they are used best. The list is the exporters'
//! (`tools/export/models.toml`), carried in the binary. Fetches nothing.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A public model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownModel {
    /// Its name with `tools/export`.
    pub name: String,
    /// How it was trained: `dino`, `mae`, `clip`, ...
    pub family: String,
    /// `OWNER/NAME` on the Hugging Face hub, or a page.
    pub source: String,
    /// The authors' own file.
    pub original: Option<String>,
    /// Licence of the weights.
    pub licence: String,
    /// Where a licence of its own can be read.
    pub licence_url: Option<String>,
    /// Whether its owner lets in only who accepts the licence.
    pub gated: bool,
    /// Side of a patch in model input pixels.
    pub patch_px: u32,
    /// Numbers in a token.
    pub dim: usize,
    /// Tokens before the patches.
    pub prefix_tokens: usize,
    /// Registers among them.
    #[serde(default)]
    pub registers: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Side of the square pictures of its training.
    pub image_px: u32,
    /// Recommended `--long-side`, in model input pixels.
    pub long_side: u32,
    /// Recommended `--drop-dims`.
    pub drop_dims: usize,
    /// Why.
    pub reason: String,
}

#[derive(Deserialize)]
struct Registry {
    model: Vec<KnownModel>,
}

static KNOWN: LazyLock<Vec<KnownModel>> = LazyLock::new(|| {
    let read: Result<Registry, _> = toml::from_str(include_str!("../../tools/export/models.toml"));
    read.map(|registry| registry.model).unwrap_or_default()
});

/// The models of the registry, in its order.
pub fn known() -> &'static [KnownModel] {
    &KNOWN
}

/// The known model whose weights a repository `OWNER/NAME` has: it is the source, or an export of it by its name. Any repository
/// named after a gated family counts as one of it.
pub fn of_repository(repository: &str) -> Option<&'static KnownModel> {
    let name = repository.rsplit('/').next().unwrap_or(repository).to_ascii_lowercase();
    let tail = |model: &KnownModel| model.source.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let source = known().iter().find(|model| model.source == repository);
    let named = |model: &&KnownModel| has_words(&name, &tail(model)) || name == model.name;
    source
        .or_else(|| known().iter().filter(named).max_by_key(|model| tail(model).len()))
        .or_else(|| known().iter().find(|model| model.gated && name.contains(&model.family)))
}

/// Whether the words of `part` stand in `name` one after the other.
fn has_words(name: &str, part: &str) -> bool {
    let words = |text: &str| text.split(['-', '_', '.']).map(str::to_owned).collect::<Vec<_>>();
    let (name, part) = (words(name), words(part));
    name.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DEFAULT_MODEL;

    #[test]
    fn the_list_is_read_whole_and_names_are_told_apart() {
        assert!(known().len() > 20);
        let names: std::collections::BTreeSet<_> = known().iter().map(|model| &model.name).collect();
        assert_eq!(names.len(), known().len());
        assert_eq!(
            toml::from_str::<Registry>(include_str!("../../tools/export/models.toml")).map(|_| ()),
            Ok(())
        );
    }

    #[test]
    fn mae_is_recommended_with_200_dimensions_dropped() {
        let mae = known().iter().find(|model| model.name == "mae-vitb16").unwrap();
        assert_eq!((mae.drop_dims, mae.patch_px, mae.dim), (200, 16, 768));
        assert!(mae.reason.contains("2401.00463"));
    }

    #[test]
    fn gated_models_have_a_licence_to_read_and_are_no_default() {
        let gated: Vec<_> = known().iter().filter(|model| model.gated).collect();
        assert!(!gated.is_empty());
        assert!(gated.iter().all(|model| model.licence_url.is_some() && model.name != DEFAULT_MODEL));
    }

    #[test]
    fn exports_of_others_are_recognised_by_their_names() {
        let named = |repository| of_repository(repository).map(|model| model.name.as_str());
        assert_eq!(named("facebook/dinov2-small"), Some("dinov2-vits14"));
        assert_eq!(named("onnx-community/dinov2-with-registers-small"), Some("dinov2-vits14-registers"));
        assert_eq!(named("onnx-community/dinov3-vits16-pretrain-lvd1689m-ONNX"), Some("dinov3-vits16"));
        assert!(of_repository("somebody/DINOv3-7B").is_some_and(|model| model.gated));
        assert_eq!(named("owner/small"), None);
        assert_eq!(named("owner/minibot-vit"), None);
        assert_eq!(named("owner/mae-vitb16"), Some("mae-vitb16"));
    }
}
