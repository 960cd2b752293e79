//! `patchdex serve` as clients meet it: the built binary on a free port, the real default model, requests and answers.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests make and damage the files that they read, and a failed unwrap is a failed test"
)]

mod access;
mod api;
mod changes;
mod collections;
mod images;
mod limits;
mod operations;
mod page;
mod search;
mod server;
#[allow(dead_code, reason = "the fixture is that of the command line's tests, which use more of it")]
#[path = "../cli/workspace.rs"]
mod workspace;
