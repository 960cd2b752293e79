//! `patchdex compact`: give room back, fold small segments.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Arg, Args};
use serde_json::json;

use super::Outcome;
use super::arguments::{GraphShape, MergeArguments, NONE, require_folder};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::output;
use super::progress::RowBar;
use crate::collection::{CompactOptions, GraphWish, Searching, compact};
use crate::index::INDEX_KINDS;

#[derive(Args)]
#[command(mut_args(with_index))]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Make one segment of all, however large they are
    #[arg(long, conflicts_with = "keep")]
    all: bool,
    /// Leave segments of this many patches as they are, unless a tenth of them belongs to no image
    #[arg(long, value_name = "PATCHES", default_value_t = CompactOptions::default().keep_patches)]
    keep: u64,
    /// Index that every segment gets from now on: hnsw builds graphs, exact drops them [default: as it is]
    #[arg(long, value_name = "KIND", value_parser = INDEX_KINDS.map(|kind| kind.name))]
    index: Option<String>,
    #[command(flatten)]
    shape: GraphShape,
    #[command(flatten)]
    merge: MergeArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The shape of graphs goes with `--index` only.
fn with_index(argument: Arg) -> Arg {
    match argument.get_id().as_str() {
        "builder" | "m" | "ef_construction" | "merge_similar" => argument.requires("index"),
        _ => argument,
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, NONE)?;
    let start = Instant::now();
    let options = match arguments.all {
        true => CompactOptions::ALL,
        false => CompactOptions { keep_patches: arguments.keep, ..CompactOptions::default() },
    };
    let searching = |kind: &String| if kind == "hnsw" { Searching::Graphs } else { Searching::Scan };
    let merge_similar = arguments.merge.merge_similar;
    let wish = |kind| GraphWish { merge_similar, ..arguments.shape.wish(Some(searching(kind))) };
    let graph = arguments.index.as_ref().map(wish);
    let options = CompactOptions { graph, ..options };
    let bar = RowBar::new();
    let outcome = compact(&arguments.collection, options, &mut |written| bar.show(written));
    bar.finish();
    let done = outcome?;
    tell_ungraphed(&done.ungraphed);
    let seconds = start.elapsed().as_secs_f64();
    if arguments.json {
        output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "segments_before": done.segments_before,
            "segments": done.segments, "dropped_patches": done.dropped_patches, "seconds": seconds,
        }))?;
    } else {
        output::message(&format!(
            "{}: {} (before: {}), {} dropped, in {seconds:.1} s",
            arguments.collection.display(),
            output::counted(done.segments as u64, "segment"),
            done.segments_before,
            output::counted(done.dropped_patches, "vector"),
        ));
    }
    Ok(Outcome::Done)
}
