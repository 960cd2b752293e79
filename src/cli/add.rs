//! `patchdex add`: bring a collection up to date with its images.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use patchdex_format::Manifest;
use serde_json::json;

use super::Outcome;
use super::arguments::{RuntimeArguments, one_of, parse_bytes, require_folder};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::index::{collect, list_rejects, read_metadata, stop_flag, tell_unmatched};
use super::output;
use super::progress::IndexBar;
use crate::collection::{read_manifest, require_model};
use crate::engine::{bound_model_dir, bound_model_options};
use crate::ingest::{self, Addition, IndexOptions};
use crate::model::Model;
use crate::picture::Limits;

#[derive(Args)]
#[command(group = one_of(&["images", "files_from", "metadata"]))]
#[command(
    override_usage = "patchdex add [OPTIONS] <COLLECTION> <IMAGES|--files-from <FILE>|--metadata <FILE>>"
)]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Image files, folders, or patterns such as 'photos/**/*.jpg'; only new and changed images are embedded
    #[arg(value_name = "IMAGES")]
    images: Vec<PathBuf>,
    /// File with one image path a line, relative to the file's folder
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Model folder or name [default: the one that made the collection]
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    runtime: RuntimeArguments,
    /// Memory for images in flight; each session of the model needs its own beside it
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = parse_bytes)]
    memory: u64,
    /// CSV, TSV, JSON or JSON lines with columns for each image, named in a column image, path, file or file_name;
    /// returned with hits, and for 'query --where'
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Refuse images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = Limits::default().max_pixels)]
    max_pixels: u64,
    /// Throw the unfinished work of another 'patchdex add' away
    #[arg(long)]
    restart: bool,
    /// Print a JSON object when done
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let path = &arguments.collection;
    require_folder(path, &arguments.images)?;
    let manifest = read_manifest(path)?;
    require_model(path, &manifest)?;
    let Manifest { model: binding, root, .. } = manifest;
    let mut sources = collect(&arguments.images, arguments.files_from.as_deref())?;
    if sources.inputs.is_empty() {
        // Only the metadata is new.
        sources.root = root.into();
    }
    let wanted = bound_model_options(&binding, arguments.runtime.options());
    let model = Model::open(&bound_model_dir(&binding, arguments.model.as_deref()), &wanted)?;
    let mut options = IndexOptions::new(path.clone(), arguments.runtime.threads());
    options.memory_bytes = arguments.memory;
    options.metadata = read_metadata(arguments.metadata.as_deref())?;
    options.limits.max_pixels = arguments.max_pixels;
    let stop = stop_flag();
    let start = Instant::now();
    let bar = IndexBar::new();
    let outcome = arguments.runtime.pool().install(|| {
        ingest::add(&sources, &model, &options, arguments.restart, &stop, &mut |status| bar.show(status))
    });
    bar.finish();
    let addition = outcome?;
    tell_ungraphed(&addition.summary.ungraphed);
    report(&addition, path, start.elapsed().as_secs_f64(), arguments.json)?;
    let rejected = addition.summary.status.rejects > 0;
    Ok(if rejected { Outcome::DoneWithRejects } else { Outcome::Done })
}

fn report(addition: &Addition, path: &std::path::Path, seconds: f64, json: bool) -> Result<(), Failure> {
    let Addition { summary, added, changed, moved, gone, kept, new_root } = addition;
    if json {
        return output::json(&json!({
            "collection": path.to_string_lossy(), "images": summary.images, "added": added, "changed": changed,
            "moved": moved, "gone": gone, "resumed": summary.status.resumed, "embedded_views": summary.embedded_views,
            "new_root": new_root.as_ref().map(|root| root.to_string_lossy()), "seconds": seconds,
            "unchanged": summary.unchanged, "rejects": summary.rejects, "kept": kept,
        }));
    }
    let (shown, images) = (path.display(), output::counted(summary.images as u64, "image"));
    match summary.unchanged {
        true => output::message(&format!("{shown} is up to date: {images}")),
        false => output::message(&format!(
            "{shown}: {added} added, {changed} changed, {moved} moved; {images}, {} embedded in {seconds:.1} s",
            output::counted(summary.embedded_views as u64, "view"),
        )),
    }
    if let Some(root) = new_root {
        output::message(&format!("paths are relative to {} from now on", root.display()));
    }
    if *gone > 0 {
        output::message(&format!(
            "{gone} of its images {} gone from the disk; 'patchdex remove {shown} --missing' takes out what is gone",
            if *gone == 1 { "is" } else { "are" },
        ));
    }
    list_rejects(summary, kept);
    tell_unmatched(summary);
    Ok(())
}
