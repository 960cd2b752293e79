//! Find this very object in my images, and show where.
//!
//! The modules stand in layers; a module imports only from rows below its own. `ARCHITECTURE.md` has the table and
//! `tests/architecture.rs` holds the sources against it.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make the files that they read"))]

pub mod cli;
pub mod collection;
pub mod core;
pub mod dims;
pub mod engine;
pub mod eval;
pub mod exchange;
pub mod index;
pub mod ingest;
pub mod metric;
pub mod model;
pub mod picture;
pub mod query;
pub mod report;
pub mod segment;
pub mod server;
pub mod storage;
pub mod transfer;
