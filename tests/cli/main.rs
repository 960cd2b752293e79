//! The built binary as people run it: arguments in, exit code, standard output, standard error and files out. Uses the
//! real default model, ONNX Runtime and photographs of the cache; `patchdex setup` (or `tools/test`) puts them there.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests make and damage the files that they read, and a failed unwrap is a failed test"
)]

mod bad_input;
mod bench;
mod command_line;
mod demo;
mod dims;
mod eval;
mod export;
mod import;
mod index;
mod inspect_verify;
mod life;
mod metadata;
mod model;
mod nearest;
mod output_folder;
mod preparation;
mod protocols;
mod query;
mod repair;
#[cfg(unix)]
mod resume;
mod setup;
mod workspace;
