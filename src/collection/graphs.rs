//! Graphs of segments: what a commit lacks of them is built when it is published. They are made from stored vectors alone,
//! so that whoever writes vectors need not think of them.

use std::fmt;
use std::ops::ControlFlow;

use patchdex_format::{ContainerWriter, GraphPlan, GraphProof, Manifest, RecallPoint, SegmentEntry};

use super::{CREATED_BY, CollectionError, Draft, Published, meaning};
use crate::index::{Graph, GraphBuilder, HnswIndex, HnswParameters, Proof, Twins};
use crate::segment::{
    FileRole, ImageView, OpenSegmentError, PatchView, Segment, file_entry, write_container,
};

/// A graph is refused when fewer of the sampled vectors find themselves with the greatest `ef`.
const LEAST_SELF_RECALL: f64 = 0.95;
/// The same for the true neighbours that they find.
const LEAST_RECALL: f64 = 0.9;

/// What becomes of a commit when the graph of a segment turns out to be worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphDemand {
    /// It fails: the user asked for graphs.
    Required,
    /// It stands, and the segment is scanned.
    Wanted,
}

/// How far the graphs of a commit are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphStatus {
    /// Vectors that are linked.
    pub vectors: u64,
    /// All that will be.
    pub of: u64,
}

/// Who hears how far the graphs of a commit are, now and then, and may stop it.
pub type Told<'a> = &'a mut dyn FnMut(GraphStatus) -> ControlFlow<()>;

/// A segment that was to have a graph and has none: it is scanned.
#[derive(Clone, Debug, PartialEq)]
pub struct Ungraphed {
    /// The segment's id.
    pub segment: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Ungraphed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, reason } = self;
        write!(out, "segment {segment} has no graph, and is scanned: {reason}")
    }
}

/// `manifest` with a graph for each segment that has vectors, where it asks for graphs and they serve its vectors.
pub(super) fn complete(
    draft: &Draft,
    manifest: &Manifest,
    demand: GraphDemand,
    told: Told<'_>,
) -> Result<Published, CollectionError> {
    let (mut manifest, mut ungraphed) = (manifest.clone(), Vec::new());
    let stored = meaning(draft.path(), &manifest)?;
    let suits = HnswParameters::misfit(stored.metric, stored.dim).is_none();
    if let Some(plan) = manifest.graph.as_ref().filter(|_| suits) {
        let lacks = |entry: &SegmentEntry| {
            let is_known = demand == GraphDemand::Wanted && was_refused(draft, plan, entry);
            FileRole::Graph.entry(entry).is_none() && entry.patches > 0 && !is_known
        };
        let segments = manifest.segments.iter().enumerate();
        let lacking: Vec<usize> = segments.filter(|(_, entry)| lacks(entry)).map(|(at, _)| at).collect();
        let mut status = GraphStatus { vectors: 0, of: patches(&manifest, &lacking) };
        let plan = plan.clone();
        for at in lacking {
            let entry = &manifest.segments[at];
            let after = status.vectors + entry.patches;
            if entry.patches > HnswParameters::MOST_NODES as u64 {
                let reason = format!("{} vectors are more than a graph can have", entry.patches);
                ungraphed.push(Ungraphed { segment: entry.id.clone(), reason });
                status.vectors = after;
                continue;
            }
            let before = status.vectors;
            let mut tell = |nodes: usize| told(GraphStatus { vectors: before + nodes as u64, ..status });
            match with_graph(draft, &manifest, entry, &plan, &mut tell)? {
                Ok(entry) => manifest.segments[at] = entry,
                Err(what) if demand == GraphDemand::Required => {
                    return Err(CollectionError::Graph { path: draft.segment_dir(entry), what });
                }
                Err(reason) => ungraphed.push(Ungraphed { segment: entry.id.clone(), reason }),
            }
            // Twins share a node: there may be fewer than vectors.
            status.vectors = after;
            // Who wants to stop is asked again over the next graph; after the last there is nothing left to stop.
            let _ = told(status);
        }
    }
    Ok(Published { manifest, ungraphed })
}

/// Vectors of some segments.
fn patches(manifest: &Manifest, segments: &[usize]) -> u64 {
    segments.iter().map(|&at| manifest.segments[at].patches).sum()
}

/// Whether the last commit made no graph by the same plan over the same vectors: it would be the same one again.
fn was_refused(draft: &Draft, plan: &GraphPlan, entry: &SegmentEntry) -> bool {
    let base = draft.base().filter(|base| base.graph.as_ref() == Some(plan));
    let held = base.and_then(|base| base.segments.iter().find(|held| held.id == entry.id));
    held.is_some_and(|held| {
        FileRole::Graph.entry(held).is_none()
            && FileRole::Vectors.entry(held) == FileRole::Vectors.entry(entry)
    })
}

/// What a plan says, as this version builds it.
fn parameters(draft: &Draft, plan: &GraphPlan) -> Result<HnswParameters, CollectionError> {
    let path = || draft.path().to_owned();
    let no_builder = |source| CollectionError::Builder { path: path(), name: plan.builder.clone(), source };
    let builder = GraphBuilder::named(&plan.builder).map_err(no_builder)?;
    let (m, ef_construction) = (plan.m as usize, plan.ef_construction as usize);
    match HnswParameters::M.contains(&m) && HnswParameters::EF_CONSTRUCTION.contains(&ef_construction) {
        true => Ok(HnswParameters { builder, m, ef_construction, seed: plan.seed }),
        false => {
            let value = format!("m {m}, ef_construction {ef_construction}");
            Err(CollectionError::Unknown { path: path(), what: "plan of a graph", value })
        }
    }
}

/// The entry of a segment with a graph, or why that is worth nothing.
fn with_graph(
    draft: &Draft,
    manifest: &Manifest,
    entry: &SegmentEntry,
    plan: &GraphPlan,
    told: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Result<SegmentEntry, String>, CollectionError> {
    let stopped = || CollectionError::Stopped { path: draft.path().to_owned() };
    if told(0).is_break() {
        return Err(stopped());
    }
    // Who builds graphs is asked only where one is to be built: those that are there can be searched without.
    let parameters = parameters(draft, plan)?;
    let folder = draft.segment_dir(entry);
    let segment = Segment::open(&folder, entry, meaning(draft.path(), manifest)?)?;
    let vectors = segment.vectors();
    let images = plan.merge_similar.map(|_| rows_of_images(&segment)).transpose()?.unwrap_or_default();
    let twins = plan.merge_similar.map(|least_cosine| Twins { least_cosine, images: &images });
    let graph = Graph::build_telling(vectors, &parameters, twins, told).ok_or_else(stopped)?;
    let index = HnswIndex { graph, vectors };
    let proof = index.prove();
    if let Some(fault) = fault(&proof, index.graph.len()) {
        return Ok(Err(fault));
    }
    // A segment of this commit has no file that another could replace.
    let is_new = entry.id.split('-').next() == Some(&Draft::segment_id(draft.commit()));
    let name = if is_new { FileRole::Graph.first_name() } else { FileRole::Graph.name_at(draft.commit()) };
    write_container(&folder.join(&name), |file| {
        let mut writer = ContainerWriter::new(file, FileRole::Graph.kind(), CREATED_BY)?;
        index.graph.write(&mut writer)?;
        writer.finish().map(|_| ())
    })?;
    let mut entry = entry.clone();
    FileRole::replace(&mut entry, vec![file_entry(&folder, &name)?]);
    entry.graph = Some(recorded(&index, &proof));
    Ok(Ok(entry))
}

/// The rows of each image, of copies once.
fn rows_of_images(segment: &Segment) -> Result<Vec<Vec<u32>>, CollectionError> {
    let images = segment.images().filter(|image| image.as_ref().map_or(true, ImageView::is_original));
    let rows = |view: PatchView| (view.first_patch..view.first_patch + view.grid.len()).map(|row| row as u32);
    Ok(images
        .map(|image| Ok(image?.views().flat_map(rows).collect()))
        .collect::<Result<_, OpenSegmentError>>()?)
}

/// What makes a graph over `nodes` vectors worth nothing, if anything does.
fn fault(proof: &Proof, nodes: usize) -> Option<String> {
    match () {
        () if proof.reached < nodes => {
            Some(format!("{} of {nodes} vectors cannot be reached", nodes - proof.reached))
        }
        () if proof.self_recall < LEAST_SELF_RECALL => {
            Some(format!("only {:.3} of sampled vectors find themselves", proof.self_recall))
        }
        () if proof.ceiling < LEAST_RECALL => {
            Some(format!("sampled vectors find only {:.3} of their neighbours", proof.ceiling))
        }
        () => None,
    }
}

fn recorded(index: &HnswIndex<'_>, proof: &Proof) -> GraphProof {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let point = |&(ef, recall): &(usize, f64)| RecallPoint { ef: ef as u32, recall_at_10: rounded(recall) };
    let nodes = index.graph.len();
    GraphProof {
        nodes: (nodes < index.vectors.len()).then_some(nodes as u64),
        mean_degree: rounded(index.graph.mean_degree()),
        self_recall: rounded(proof.self_recall),
        recall: proof.recall.iter().map(point).collect(),
    }
}
