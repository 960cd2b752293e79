//! Why a model cannot be used, and what to do about it.

use std::path::PathBuf;

use super::{Device, RuntimeError, SpecError};
use crate::core::{Fault, Kind};
use crate::storage::StorageError;

/// Why a model cannot be opened or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// ONNX Runtime itself is not there or does not load.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The folder's JSON files.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The graph's file cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A device that the library has no provider for.
    #[error(
        "{} cannot run models on '{device}': it has {}; name a build of ONNX Runtime that has it with --onnxruntime, or another --device", library.display(), found.join(", ")
    )]
    NoDevice {
        /// What was asked for.
        device: Device,
        /// The library.
        library: PathBuf,
        /// Devices that it has.
        found: Vec<&'static str>,
    },
    /// A device that is there and does not work.
    #[error(
        "device '{device}' does not work with {}: {reason}; install what it needs, or give another --device", library.display()
    )]
    Device {
        /// What was asked for.
        device: Device,
        /// The library.
        library: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// ONNX Runtime refuses the graph.
    #[error("ONNX Runtime cannot load {}: {reason}; run 'patchdex model check' on the folder", graph.display())]
    Load {
        /// The graph's file.
        graph: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The graph has no picture input.
    #[error("{} takes no picture: an input of [batch, 3, height, width] floats is needed, it has {found}", graph.display())]
    NoPictureInput {
        /// The graph's file.
        graph: PathBuf,
        /// The inputs it has.
        found: String,
    },
    /// The graph has no patch tokens.
    #[error(
        "{} gives no patch tokens: an output of [batch, tokens, {hidden_size}] floats is needed, it has {found}; \
         export the model with its last_hidden_state, or name another output with --output", graph.display()
    )]
    NoTokenOutput {
        /// The graph's file.
        graph: PathBuf,
        /// `hidden_size` of `config.json`.
        hidden_size: usize,
        /// The outputs it has.
        found: String,
    },
    /// An output that was asked for and is not there.
    #[error(
        "{} has no tokens '{name}'; it has {}: name one with --output, or by the number of its block with --layer \
         (tools/export --hidden-states gives more)", graph.display(), found.join(", ")
    )]
    NoSuchOutput {
        /// The graph's file.
        graph: PathBuf,
        /// The output that was asked for.
        name: String,
        /// The outputs with tokens that it has.
        found: Vec<String>,
    },
    /// Outputs that cannot be read together.
    #[error(
        "{}: outputs {outputs} have {} and {} tokens for the same picture; outputs that are read together must have one for each of the same patches", graph.display(), tokens[0], tokens[1]
    )]
    OutputsDiffer {
        /// The graph's file.
        graph: PathBuf,
        /// Their names.
        outputs: String,
        /// Tokens of two of them.
        tokens: [usize; 2],
    },
    /// Tokens are longer or shorter than `config.json` says.
    #[error(
        "{}: output '{output}' has tokens of {found} numbers where config.json says hidden_size {hidden_size}; correct \
         config.json or export the model again", graph.display()
    )]
    HiddenSize {
        /// The graph's file.
        graph: PathBuf,
        /// The output's name.
        output: String,
        /// What the graph gives.
        found: usize,
        /// What `config.json` says.
        hidden_size: usize,
    },
    /// The number of tokens is not prefix + grid.
    #[error(
        "{}: output '{output}' has {found} tokens for a picture of {width}x{height} px; patches of {patch_px} px make \
         {patches}, and {expected}: set patch_size and patchdex.prefix_tokens in config.json", graph.display()
    )]
    TokenCount {
        /// The graph's file.
        graph: PathBuf,
        /// The output's name.
        output: String,
        /// Tokens that the graph gave.
        found: usize,
        /// Patches of the picture.
        patches: usize,
        /// What the prefix should be.
        expected: String,
        /// Picture width.
        width: u32,
        /// Picture height.
        height: u32,
        /// Side of a patch.
        patch_px: u32,
    },
    /// The graph has one size and it does not fit.
    #[error(
        "{} takes pictures of {width}x{height} px only, which patches of {patch_px} px do not divide; export it with \
         another size, or correct patch_size in config.json", graph.display()
    )]
    FixedSize {
        /// The graph's file.
        graph: PathBuf,
        /// Width in the graph.
        width: u32,
        /// Height in the graph.
        height: u32,
        /// Side of a patch.
        patch_px: u32,
    },
    /// The graph takes several pictures at once, and no other number.
    #[error("{} takes {batch} pictures at once, never one; export it with an open batch side or a batch of 1", graph.display())]
    FixedBatch {
        /// The graph's file.
        graph: PathBuf,
        /// Pictures that it takes.
        batch: i64,
    },
    /// An input that the graph has and nobody gave.
    #[error("the graph's input '{name}' has no value; give it as --input {name}=NUMBER")]
    MissingInput {
        /// The input's name.
        name: String,
    },
    /// A value for an input that the graph does not have.
    #[error("the graph has no input '{name}'; its inputs are {found}")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The inputs it has.
        found: String,
    },
    /// A run failed.
    #[error("the model failed on a picture of {width}x{height} px: {reason}")]
    Run {
        /// Picture width.
        width: u32,
        /// Picture height.
        height: u32,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// Tokens that are no numbers.
    #[error(
        "the model gives infinite or undefined values for a picture of {width}x{height} px; an fp16 graph may overflow: try --variant fp32"
    )]
    NotFinite {
        /// Picture width.
        width: u32,
        /// Picture height.
        height: u32,
    },
}

impl Fault for ModelError {
    fn kind(&self) -> Kind {
        match self {
            Self::Runtime(error) => error.kind(),
            Self::Spec(error) => error.kind(),
            Self::Storage(error) => error.kind(),
            Self::MissingInput { .. } | Self::UnknownInput { .. } => Kind::Invalid,
            Self::Run { .. } | Self::NotFinite { .. } => Kind::Internal,
            _ => Kind::Incompatible,
        }
    }
}
