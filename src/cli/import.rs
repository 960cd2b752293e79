//! `patchdex import`: a collection made of vectors that another program wrote.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::GraphArguments;
use super::failure::Failure;
use super::output;
use super::progress::GraphBar;
use crate::core::Kind;
use crate::index::RowKind;
use crate::metric::{METRICS, Metric};
use crate::transfer::{ImportOptions, import};

#[derive(Args)]
pub(crate) struct Arguments {
    /// File to read: .npy, .fbin, .i8bin, .u8bin, .fvecs, .ivecs or .bvecs become one image with a patch a row; .parquet has
    /// columns image and vector (lists of float), perhaps x, y, width, height in pixels, and metadata of the images
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of the new collection
    #[arg(long, value_name = "COLLECTION")]
    out: PathBuf,
    /// Similarity
    #[arg(long, value_name = "NAME", default_value = METRICS[0].name, value_parser = METRICS.map(|metric| metric.name))]
    metric: String,
    /// Element kind of the stored vectors
    #[arg(long, value_name = "KIND", default_value = "f32", value_parser = RowKind::ALL.map(|kind| kind.name))]
    vectors: String,
    #[command(flatten)]
    graph: GraphArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let start = Instant::now();
    let unknown = |what: &str| Failure::new(Kind::Invalid, format!("unknown value for {what}"));
    let options = ImportOptions {
        metric: Metric::named(&arguments.metric).ok_or_else(|| unknown("--metric"))?,
        vectors: RowKind::named(&arguments.vectors).ok_or_else(|| unknown("--vectors"))?,
        graph: arguments.graph.wish(),
    };
    let mut bar = GraphBar::default();
    let outcome = import(&arguments.file, &arguments.out, options, &mut |graphs| bar.show(graphs));
    bar.finish();
    let done = outcome?;
    let (manifest, seconds) = (&done.manifest, start.elapsed().as_secs_f64());
    let images: u64 = manifest.segments.iter().map(|segment| segment.images).sum();
    let patches: u64 = manifest.segments.iter().map(|segment| segment.patches).sum();
    if arguments.json {
        output::json(&json!({
            "collection": arguments.out.to_string_lossy(), "images": images, "patches": patches, "dim": manifest.dim,
            "root": manifest.root, "skipped_columns": done.skipped, "unchanged": done.unchanged, "seconds": seconds,
        }))?;
        return Ok(Outcome::Done);
    }
    let shown = arguments.out.display();
    let what = format!("{}, {}", output::counted(images, "image"), output::counted(patches, "vector"));
    match done.unchanged {
        true => output::message(&format!("{shown} is up to date: {what}")),
        false => output::message(&format!("{shown}: {what} of {} numbers in {seconds:.1} s", manifest.dim)),
    }
    if !done.skipped.is_empty() {
        output::message(&format!(
            "left out, for they are no text, numbers or truth values: {}",
            done.skipped.join(", ")
        ));
    }
    Ok(Outcome::Done)
}
