//! The client of the Hugging Face hub: fetches one ONNX model folder into the cache that `huggingface_hub` keeps too,
//! with that tool's environment variables, folder layout and lock files. Relies on `storage` for every write.
//! Written on `ureq`, because the `hf-hub` crate 1.0.0 brings 280 crates (tokio, reqwest, aws-lc, hf-xet), neither
//! resumes a download nor checks its SHA-256, and blocks only by starting an async runtime.
//! Knows nothing of what a model is beyond the names of its files.

mod cache;
mod download;
mod error;
mod files;
mod options;
mod pull;
mod request;

pub use cache::{cached, cached_folder};
pub use error::HubError;
pub(super) use files::is_external_data;
pub use options::HubOptions;
pub use pull::pull;

/// How far one file of a model has come; given to the caller of [`pull`] for every file and every chunk.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Path inside the repository, with `/`.
    pub file: &'a str,
    /// Bytes on disk, those of an earlier, interrupted call included.
    pub done_bytes: u64,
    /// Size of the file; 0 while the server has not told it.
    pub total_bytes: u64,
}
