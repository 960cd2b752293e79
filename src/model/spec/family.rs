//! Model families: how many tokens stand before the patches, and what a nested vision configuration leaves out.
//!
//! A family of the table needs no Rust beyond its row; any other works as soon as its `config.json` says
//! `patchdex.prefix_tokens`, or its graph shows it.

use super::SpecError;
use super::json::Document;

/// What `config.json` says of the vision model.
pub(super) struct Vision {
    pub(super) family: String,
    pub(super) patch_px: u32,
    pub(super) hidden_size: usize,
    pub(super) prefix_tokens: Option<usize>,
    pub(super) image_px: Option<u32>,
}

/// Tokens before the patches.
enum Prefix {
    Fixed(usize),
    /// CLS and as many registers as `num_register_tokens` says; this many where it is missing.
    ClsAndRegisters(u32),
}

struct Family {
    model_type: &'static str,
    prefix: Prefix,
    /// Patch side and token length, for configurations that leave out what equals the library's default.
    defaults: Option<(u32, usize)>,
}

const fn family(model_type: &'static str, prefix: Prefix) -> Family {
    Family { model_type, prefix, defaults: None }
}

const FAMILIES: &[Family] = &[
    family("vit", Prefix::Fixed(1)),
    family("vit_mae", Prefix::Fixed(1)),
    family("vit_msn", Prefix::Fixed(1)),
    family("deit", Prefix::Fixed(2)),
    family("beit", Prefix::Fixed(1)),
    family("data2vec-vision", Prefix::Fixed(1)),
    family("ijepa", Prefix::Fixed(0)),
    family("dinov2", Prefix::Fixed(1)),
    family("dinov2_with_registers", Prefix::ClsAndRegisters(4)),
    family("dinov3_vit", Prefix::ClsAndRegisters(0)),
    Family { model_type: "clip_vision_model", prefix: Prefix::Fixed(1), defaults: Some((32, 768)) },
    Family { model_type: "siglip_vision_model", prefix: Prefix::Fixed(0), defaults: Some((16, 768)) },
];

/// Reads the vision part of `config`.
pub(super) fn read(config: &Document) -> Result<Vision, SpecError> {
    let outer = config.text("model_type")?;
    let nested = config.object("vision_config")?;
    let vision = nested.as_ref().unwrap_or(config);
    let name = match (vision.text("model_type")?, outer, &nested) {
        (Some(inner), _, Some(_)) if inner.ends_with("_model") => inner,
        (_, Some(outer), Some(_)) => format!("{outer}_vision_model"),
        (inner, _, _) => inner.unwrap_or_default(),
    };
    let known = FAMILIES.iter().find(|f| f.model_type == name);
    let defaults = known.and_then(|f| f.defaults);
    let patch_px = vision.side("patch_size")?.or(defaults.map(|d| d.0));
    let hidden_size = vision.count("hidden_size")?.filter(|&n| n > 0).map(|n| n as usize);
    Ok(Vision {
        patch_px: patch_px.ok_or_else(|| {
            vision.fault("patch_size", "is missing: write the side of a patch in pixels, for example 16")
        })?,
        hidden_size: hidden_size.or(defaults.map(|d| d.1)).ok_or_else(|| {
            vision.fault("hidden_size", "is missing: write the length of a token, for example 384")
        })?,
        prefix_tokens: known.map(|f| prefix_tokens(f, vision)).transpose()?,
        image_px: vision.side("image_size").ok().flatten(),
        family: name,
    })
}

fn prefix_tokens(family: &Family, vision: &Document) -> Result<usize, SpecError> {
    Ok(match family.prefix {
        Prefix::Fixed(count) => count,
        Prefix::ClsAndRegisters(usual) => 1 + vision.count("num_register_tokens")?.unwrap_or(usual) as usize,
    })
}
