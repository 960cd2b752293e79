//! `patchdex export`: a collection as one file that other programs read.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::require_folder;
use super::condition::tell_unmet;
use super::failure::Failure;
use super::output;
use crate::collection::{Collection, Filter};
use crate::transfer::{ExportOptions, export};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// File to write: .npy, .fbin, .i8bin, .u8bin, .fvecs, .ivecs or .bvecs for the vectors; .parquet for vectors with image,
    /// box and metadata; .json for the images as COCO lists them. Rows and COCO ids come in order of the images' paths: they are those of
    /// this commit, and others after add, remove or another change
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write the model's own tokens (collections indexed with --keep-raw)
    #[arg(long)]
    raw: bool,
    /// Only images that meet a condition on their metadata, or on image, width, height, bytes
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<Filter>,
    /// Replace FILE where it exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, std::slice::from_ref(&arguments.file))?;
    let start = Instant::now();
    let collection = Collection::open(&arguments.collection)?;
    let options =
        ExportOptions { raw: arguments.raw, filter: arguments.filter.as_ref(), force: arguments.force };
    let done = export(&collection, &arguments.file, options)?;
    let seconds = start.elapsed().as_secs_f64();
    if let (0, Some(filter)) = (done.images, &arguments.filter) {
        tell_unmet(&collection, filter)?;
    }
    if arguments.json {
        output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "file": arguments.file.to_string_lossy(),
            "format": done.format.name(), "images": done.images, "rows": done.vectors.map(|(rows, _)| rows),
            "dim": done.vectors.map(|(_, dim)| dim), "seconds": seconds,
        }))?;
        return Ok(Outcome::Done);
    }
    let vectors =
        done.vectors.map(|(rows, dim)| format!(", {} of {dim} numbers", output::counted(rows, "row")));
    output::message(&format!(
        "wrote {}: {}{}, in {seconds:.1} s",
        arguments.file.display(),
        output::counted(done.images, "image"),
        vectors.unwrap_or_default()
    ));
    Ok(Outcome::Done)
}
