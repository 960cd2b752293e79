//! The manifest: small readable JSON that binds model, preparation, metric and segments, with its own checksum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Cause, FORMAT_VERSION, FormatError, OLDEST_VERSION};

/// Name of the manifest in a collection's folder.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The last line but one of a manifest: all bytes before it are covered by the checksum.
const CHECKSUM_KEY: &str = ",\n  \"checksum\": \"";

/// What a collection is: everything that a query must agree with, and the segments of the last commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Program and version that wrote it.
    pub created_by: String,
    /// Counts commits from 1.
    pub commit: u64,
    /// Folder that the images' paths are relative to, as it was when they were indexed.
    pub root: String,
    /// `cosine` or `dot`.
    pub metric: String,
    /// The model whose tokens are stored.
    pub model: ModelBinding,
    /// How images were cut into views.
    pub views: ViewPlan,
    /// The linear map between tokens and stored vectors.
    pub preparation: PreparationEntry,
    /// Element kind of the stored vectors: `f32`, `f16` or `i8`.
    pub vectors: String,
    /// Numbers in a stored vector.
    pub dim: u32,
    /// The graph that every segment gets; none where vectors are only scanned. Since version 3.
    #[serde(default)]
    pub graph: Option<GraphPlan>,
    /// In order of their commits.
    pub segments: Vec<SegmentEntry>,
    /// The list of images that could not be read; its digest is BLAKE3 of its bytes.
    pub rejects: FileEntry,
    /// Digest of inputs and options of the build, by which the same command recognises its own result.
    pub source: String,
}

/// The model whose tokens are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelBinding {
    /// Name in its `config.json`.
    pub name: String,
    /// BLAKE3 of the ONNX graph (and its external data), hexadecimal.
    pub digest: String,
    /// Folder that it was loaded from; a hint, never trusted without the digest.
    pub folder: String,
    /// `fp32`, `fp16`, `int8`.
    pub variant: String,
    /// Where the images went through it when the collection was made: `cpu`, `cuda`, ...; none where nobody said. Since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Licence of its weights, as its folder says; none where it does not. Since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Side of a patch in model input pixels.
    pub patch_px: u32,
    /// Numbers in a token.
    pub hidden_size: u32,
    /// Tokens before the patches (CLS, registers).
    pub prefix_tokens: u32,
    /// Name of the graph's output.
    pub output: String,
    /// Values of the graph's extra inputs.
    pub inputs: BTreeMap<String, f64>,
    /// Resampling, rescaling and normalisation, as the model layer writes them.
    pub image: serde_json::Value,
}

/// How images were cut into views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewPlan {
    /// Long side of the whole-image view in model input pixels.
    pub long_side_px: u32,
    /// Tiles beside the whole image.
    pub tiles: Option<TilePlan>,
    /// Whether the whole image has its overlapping quarters beside it, whatever its size.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pyramid: bool,
}

/// Tiles that cover an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TilePlan {
    /// Side of a tile in image pixels.
    pub side_px: u32,
    /// Shared width of neighbouring tiles in image pixels.
    pub overlap_px: u32,
}

/// The linear map between tokens and stored vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparationEntry {
    /// `none`, `centre`, `drop:200`, `whiten`, ...
    pub spec: String,
    /// `collection`, `model` or a file's name: what it was fitted on.
    pub fitted_on: String,
    /// BLAKE3 digest of the map, hexadecimal; empty for `none`.
    pub digest: String,
    /// File in the collection's folder; none for `none`.
    pub file: Option<FileEntry>,
}

/// How graphs are built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphPlan {
    /// Name of the builder.
    pub builder: String,
    /// Half the links that a node has room for.
    pub m: u32,
    /// Nodes that are looked at for the neighbours of one.
    pub ef_construction: u32,
    /// Seed of the order in which nodes are inserted.
    pub seed: u64,
    /// Cosine of two patches of one image from which on one node stands for both; none where each has its own. Since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_similar: Option<f64>,
}

/// What was measured of a graph when it was built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphProof {
    /// Its nodes; none where every patch has one. Since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Links of a node on average.
    pub mean_degree: f64,
    /// Share of sampled vectors that find a vector as similar to them as they are themselves.
    pub self_recall: f64,
    /// In order of their `ef`.
    pub recall: Vec<RecallPoint>,
}

/// Recall at one effort.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecallPoint {
    /// Nodes that a walk keeps in view.
    pub ef: u32,
    /// Share of the ten nearest other vectors that sampled vectors find.
    pub recall_at_10: f64,
}

/// The images, patches and indexes of one commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentEntry {
    /// Folder under `segments/`.
    pub id: String,
    /// Number of images.
    pub images: u64,
    /// Number of views.
    pub views: u64,
    /// Number of patches.
    pub patches: u64,
    /// Image table, vectors, indexes.
    pub files: Vec<FileEntry>,
    /// What its graph is worth; none without one. Since version 3.
    #[serde(default)]
    pub graph: Option<GraphProof>,
}

/// A file that the manifest vouches for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name in its folder.
    pub name: String,
    /// Size.
    pub bytes: u64,
    /// [`crate::Layout::digest`] of its sections; BLAKE3 of the bytes of a file that is no container.
    pub digest: String,
}

impl Manifest {
    /// The manifest as the bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let body = json.trim_end().trim_end_matches('}').trim_end();
        let checksum = blake3::hash(body.as_bytes()).to_hex();
        format!("{body}{CHECKSUM_KEY}{checksum}\"\n}}\n").into_bytes()
    }

    /// Reads a manifest: version first, then the checksum, then the fields.
    ///
    /// # Errors
    /// A later version, a checksum that does not match (also after an edit by hand), or fields of the wrong form.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let text =
            std::str::from_utf8(bytes).map_err(|_| FormatError::structure("the manifest is not UTF-8"))?;
        let mut value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| FormatError::structure(format!("the manifest is not JSON ({error})")))?;
        let version = value.get("format_version").and_then(serde_json::Value::as_u64);
        let found = version.and_then(|version| u32::try_from(version).ok());
        let found = found.ok_or_else(|| FormatError::structure("the manifest has no format_version"))?;
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&found) {
            let cause = Cause::Version { found, oldest: OLDEST_VERSION, newest: FORMAT_VERSION };
            return Err(FormatError::file(cause));
        }
        let (body, tail) = text
            .rsplit_once(CHECKSUM_KEY)
            .ok_or_else(|| FormatError::structure("the manifest has no checksum in its last line"))?;
        let checksum = blake3::hash(body.as_bytes()).to_hex();
        if tail != format!("{checksum}\"\n}}\n") {
            return Err(FormatError::file(Cause::Checksum));
        }
        if let Some(object) = value.as_object_mut() {
            object.remove("checksum");
        }
        let manifest: Self = serde_json::from_value(value)
            .map_err(|error| FormatError::structure(format!("a field of the manifest is wrong ({error})")))?;
        if let Some(name) = manifest.names().find(|name| !is_plain(name)) {
            return Err(FormatError::structure(format!(
                "'{name}' in the manifest is not the name of a file"
            )));
        }
        Ok(manifest)
    }

    /// Every name that becomes part of a path.
    fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.segments.iter().flat_map(|segment| &segment.files);
        let files = files.chain(&self.preparation.file).chain([&self.rejects]);
        self.segments
            .iter()
            .map(|segment| &segment.id)
            .chain(files.map(|file| &file.name))
            .map(String::as_str)
    }
}

/// Whether a name stays in its folder: collections come from other people, too.
fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            created_by: "test".into(),
            commit: 1,
            root: "/photos, \"quoted\"".into(),
            metric: "cosine".into(),
            model: ModelBinding {
                name: "m".into(),
                digest: "d".into(),
                folder: "f".into(),
                variant: "fp32".into(),
                device: Some("cpu".into()),
                licence: Some("MIT".into()),
                patch_px: 14,
                hidden_size: 384,
                prefix_tokens: 1,
                output: "o".into(),
                inputs: BTreeMap::from([("gsd".into(), 0.3)]),
                image: serde_json::json!({"mean": [0.485, 0.456, 0.406]}),
            },
            views: ViewPlan {
                long_side_px: 518,
                tiles: Some(TilePlan { side_px: 256, overlap_px: 64 }),
                pyramid: false,
            },
            preparation: PreparationEntry {
                spec: "none".into(),
                fitted_on: "collection".into(),
                digest: String::new(),
                file: None,
            },
            vectors: "f16".into(),
            dim: 384,
            graph: Some(GraphPlan {
                builder: "b".into(),
                m: 16,
                ef_construction: 200,
                seed: 0,
                merge_similar: None,
            }),
            segments: vec![],
            rejects: FileEntry { name: "rejects.jsonl".into(), bytes: 0, digest: String::new() },
            source: String::new(),
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        let manifest = sample();
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
    }

    #[test]
    fn every_flipped_bit_and_truncation_is_found() {
        let bytes = sample().to_bytes();
        for index in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..index]).is_err(), "cut at {index}");
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[index] ^= 1 << bit;
                assert!(Manifest::parse(&damaged).is_err(), "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_refused() {
        for name in ["", ".", "..", "../x", "/etc/passwd", "a\\b", "C:x"] {
            let rejects = FileEntry { name: name.into(), bytes: 0, digest: String::new() };
            let error = Manifest::parse(&Manifest { rejects, ..sample() }.to_bytes()).unwrap_err();
            assert!(error.to_string().contains("not the name of a file"), "{error}");
        }
    }

    #[test]
    fn a_later_version_is_named_before_anything_else() {
        let error = Manifest::parse(br#"{"format_version": 7, "unknown": true}"#).unwrap_err();
        assert!(matches!(error.cause, Cause::Version { found: 7, .. }), "{error}");
    }
}
