//! HNSW (Malkov and Yashunin, TPAMI 2018): a graph over the vectors' codes, laid out flat and searched in place. Nodes are
//! compared by whole numbers only, so that a graph and the walks through it are the same on every CPU; the vectors
//! themselves are asked last.

mod batch;
mod codes;
mod connect;
mod graph;
#[cfg(feature = "hnsw-rs")]
mod hnswrs;
mod index;
mod layers;
mod order;
mod points;
mod proof;
mod reduction;
mod reverse;
mod search;
#[cfg(test)]
mod tests;
mod twins;

pub use graph::Graph;
pub use index::HnswIndex;
pub use layers::{BUILDERS, GraphBuilder, HnswParameters, UnknownBuilder};
pub use proof::Proof;
pub use twins::Twins;
