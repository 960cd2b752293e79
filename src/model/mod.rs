//! Models: what a Hugging Face folder says, ONNX sessions, from pictures to patch tokens. Knows no indexes.

mod cache;
mod check;
mod device;
mod error;
pub mod hub;
mod onnx;
mod preprocess;
pub mod registry;
mod runtime;
mod sizes;
mod spec;
mod variant;
mod vit;

pub use cache::{DEFAULT_MODEL, cache_dir, installed, model_dir};
pub use check::{CheckReport, check};
pub use device::Device;
pub use error::ModelError;
pub use onnx::{GraphFacts, Port};
pub use preprocess::{processor_tensor, tensor};
pub use runtime::{Runtime, RuntimeError, RuntimeOptions};
pub use sizes::SizeRule;
pub use spec::{Crop, ImageSpec, ModelSpec, Resize, SpecError};
pub use variant::Recommendation;
pub use vit::{JOINT, Model, ModelOptions, Session, Tokens};
