//! The plan of a collection's graphs: what commands say of it, what a manifest keeps of it.

use std::path::Path;

use patchdex_format::{GraphPlan, Manifest};

use super::CollectionError;
use crate::index::{GraphBuilder, HnswParameters};
use crate::metric::Metric;

/// How the vectors of segments are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Searching {
    /// Through a graph over each segment.
    Graphs,
    /// By a scan alone.
    Scan,
}

/// What a command says of graphs. What it does not say is as the collection has it; a new one has the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GraphWish {
    /// Whether there are graphs.
    pub searching: Option<Searching>,
    /// Who builds them.
    pub builder: Option<GraphBuilder>,
    /// Half the links that a node has room for.
    pub m: Option<usize>,
    /// Nodes that are looked at for the links of one.
    pub ef_construction: Option<usize>,
    /// Cosine of two patches of one image from which on one node stands for both.
    pub merge_similar: Option<f64>,
}

impl GraphWish {
    /// The graphs of a new collection; none where its vectors are only scanned.
    pub fn parameters(&self) -> Option<HnswParameters> {
        let default = HnswParameters::default();
        (self.searching != Some(Searching::Scan)).then(|| HnswParameters {
            builder: self.builder.unwrap_or(default.builder),
            m: self.m.unwrap_or(default.m),
            ef_construction: self.ef_construction.unwrap_or(default.ef_construction),
            ..default
        })
    }

    /// The plan of a collection whose plan was `held`, or which is new; none where its vectors are only scanned.
    pub fn plan(&self, held: Option<&GraphPlan>) -> Option<GraphPlan> {
        let new = GraphPlan { merge_similar: self.merge_similar, ..plan_of(&self.parameters()?) };
        let Some(held) = held else { return Some(new) };
        Some(GraphPlan {
            builder: self.builder.map_or(&held.builder, |_| &new.builder).clone(),
            m: self.m.map_or(held.m, |_| new.m),
            ef_construction: self.ef_construction.map_or(held.ef_construction, |_| new.ef_construction),
            seed: held.seed,
            merge_similar: self.merge_similar.or(held.merge_similar),
        })
    }

    /// Why there can be no such graphs over vectors that are compared by `metric`, if there cannot.
    pub fn misfit(&self, metric: Metric) -> Option<String> {
        let is_cosine = metric == Metric::COSINE;
        self.merge_similar
            .filter(|_| !is_cosine)
            .map(|_| format!("patches are merged by their cosine, and these are compared by {}", metric.name))
    }

    /// Refuses the finished collection in `path` where its graphs are not as this says.
    ///
    /// # Errors
    /// [`CollectionError::OtherGraphs`].
    pub fn require_met(&self, path: &Path, manifest: &Manifest) -> Result<(), CollectionError> {
        match self.is_met(manifest.graph.as_ref()) {
            true => Ok(()),
            false => {
                Err(CollectionError::OtherGraphs { path: path.to_owned(), held: manifest.graph.clone() })
            }
        }
    }

    /// Whether a collection whose plan is `held` is as this says.
    fn is_met(&self, held: Option<&GraphPlan>) -> bool {
        let says_nothing = *self == Self::default();
        says_nothing || self.plan(held).as_ref() == held
    }
}

/// A plan for graphs of these parameters.
fn plan_of(parameters: &HnswParameters) -> GraphPlan {
    GraphPlan {
        builder: parameters.builder.name.to_owned(),
        m: parameters.m as u32,
        ef_construction: parameters.ef_construction as u32,
        seed: parameters.seed,
        merge_similar: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let held =
            GraphPlan { builder: "batch".into(), m: 8, ef_construction: 50, seed: 3, merge_similar: None };
        let nothing = GraphWish::default();
        let graphs = GraphWish { searching: Some(Searching::Graphs), ..nothing };
        let scan = GraphWish { searching: Some(Searching::Scan), ..nothing };
        let wider = GraphWish { m: Some(12), ..graphs };
        assert_eq!(graphs.plan(Some(&held)), Some(held.clone()));
        assert_eq!(wider.plan(Some(&held)), Some(GraphPlan { m: 12, ..held.clone() }));
        assert_eq!(scan.plan(Some(&held)), None);
        assert_eq!(graphs.plan(None), nothing.plan(None));
        let met = |wish: GraphWish| [wish.is_met(Some(&held)), wish.is_met(None)];
        assert_eq!(met(nothing), [true, true]);
        assert_eq!(met(graphs), [true, false]);
        assert_eq!(met(scan), [false, true]);
        assert_eq!(met(wider), [false, false]);
        assert_eq!(met(GraphWish { m: Some(8), ..nothing }), [true, false]);
        let merged = GraphWish { merge_similar: Some(0.9), ..nothing };
        let merging = Some(GraphPlan { merge_similar: Some(0.9), ..held.clone() });
        assert_eq!(merged.plan(Some(&held)), merging);
        assert_eq!(graphs.plan(merging.as_ref()), merging);
        assert_eq!(met(merged), [false, false]);
        assert!(merged.misfit(Metric::COSINE).is_none() && graphs.misfit(Metric::L2).is_none());
        assert!(merged.misfit(Metric::L2).unwrap().contains("l2"));
    }
}
