//! The layers of a graph as a builder leaves them, and who builds them. A builder is one file here and one line in
//! [`BUILDERS`].

use std::ops::{ControlFlow, RangeInclusive};

use thiserror::Error;

use super::batch;
#[cfg(feature = "hnsw-rs")]
use super::hnswrs;
use super::points::Points;
use super::reduction::reduced_dim;
use super::search::NO_LINK;
use crate::metric::Metric;
use crate::metric::kernels::CODE_LANES;

/// How a graph is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HnswParameters {
    /// Who builds it.
    pub builder: GraphBuilder,
    /// Half the number of links that a node has room for; upper layers have a node for every `m` of the layer below.
    pub m: usize,
    /// Nodes that are looked at for the neighbours of one.
    pub ef_construction: usize,
    /// Seed of the order in which nodes are inserted.
    pub seed: u64,
}

impl Default for HnswParameters {
    fn default() -> Self {
        Self { builder: BUILDERS[0], m: 16, ef_construction: 200, seed: 0 }
    }
}

impl HnswParameters {
    /// What `m` may be.
    pub const M: RangeInclusive<usize> = 2..=128;
    /// Numbers in a code at most: squared distances of codes are whole numbers of 32 bits.
    const MOST_DIM: usize = 16_384;
    /// Nodes that a graph may have: their numbers take 31 bits.
    pub const MOST_NODES: usize = NO_LINK as usize / 2 - 1;
    /// What `ef_construction` may be.
    pub const EF_CONSTRUCTION: RangeInclusive<usize> = 4..=10_000;

    /// Why no graph serves vectors of `dim` numbers, if none does.
    pub fn misfit(metric: Metric, dim: usize) -> Option<String> {
        let most = Self::MOST_DIM - reduced_dim(metric, 0);
        (dim > most).then(|| format!("they have {dim} numbers, of which a graph takes {most} at most"))
    }

    /// Bytes of a node over vectors of `dim` numbers: code, links, row, and its share of the upper layers.
    pub fn node_bytes(&self, dim: usize) -> usize {
        let node = dim.next_multiple_of(CODE_LANES) + (self.degree() + 1) * 4;
        node + node / (self.m - 1)
    }

    /// Links that a node has room for.
    pub fn degree(&self) -> usize {
        2 * self.m
    }
}

/// Links the points.
#[derive(Clone, Copy, Debug)]
pub struct GraphBuilder {
    /// Name in the manifest and on the command line.
    pub name: &'static str,
    /// Builds the layers.
    pub build: Build,
}

/// Links the points; none where it was told to stop.
pub type Build = fn(&Points<'_>, &HnswParameters, told: Told<'_>) -> Option<Layers>;

/// Who is told of the nodes that are linked, now and then, and may stop the work.
pub type Told<'a> = &'a mut dyn FnMut(usize) -> ControlFlow<()>;

impl PartialEq for GraphBuilder {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for GraphBuilder {}

/// Every builder. The first is the default.
pub const BUILDERS: &[GraphBuilder] = &[
    GraphBuilder { name: "batch", build: batch::build },
    #[cfg(feature = "hnsw-rs")]
    GraphBuilder { name: "hnsw_rs", build: hnswrs::build },
];

/// Builders that come with a feature of this crate, and its name: what they rely on takes long to compile.
const OPTIONAL: [(&str, &str); 1] = [("hnsw_rs", "hnsw-rs")];

/// Why there is no builder of a name.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UnknownBuilder {
    /// One that was left out when this patchdex was built.
    #[error("this patchdex was built without it; build one with 'cargo build --release --features {0}'")]
    LeftOut(&'static str),
    /// One that this version does not know.
    #[error("it is unknown to this patchdex, which has {}", names())]
    Unknown,
}

fn names() -> String {
    BUILDERS.iter().map(|builder| builder.name).collect::<Vec<_>>().join(", ")
}

impl GraphBuilder {
    /// The builder called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, UnknownBuilder> {
        let left_out = || OPTIONAL.iter().find(|(optional, _)| *optional == name);
        let why =
            || left_out().map_or(UnknownBuilder::Unknown, |(_, feature)| UnknownBuilder::LeftOut(feature));
        BUILDERS.iter().find(|builder| builder.name == name).copied().ok_or_else(why)
    }
}

/// Links of each layer. All layers are of the same nodes: an upper one has the first so many of them.
pub struct Layers {
    /// From the bottom, which has every node, to the top: nodes × `degree`.
    pub(super) links: Vec<Vec<u32>>,
    /// Links that a node has room for.
    pub(super) degree: usize,
}

impl Layers {
    /// Nodes of each layer, from the bottom.
    pub(super) fn sizes(count: usize, m: usize) -> Vec<usize> {
        let above = |size: &usize| Some(size / m.max(2)).filter(|&size| size > 1);
        std::iter::successors(Some(count), above).collect()
    }
}
