//! `patchdex merge`: several collections become a new one.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, RuntimeArguments, require_folder};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::output;
use super::progress::RowBar;
use crate::collection::merge;
use crate::dims::Source;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the new collection
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Folders of the collections; they stay as they are
    #[arg(value_name = "COLLECTION", required = true, num_args = 2..)]
    collections: Vec<PathBuf>,
    /// Make all vectors anew with this map, from the model's own tokens (collections indexed with --keep-raw)
    #[arg(long, value_name = "MAP")]
    prepare: Option<Source>,
    #[command(flatten)]
    runtime: RuntimeArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.collections.iter().try_for_each(|collection| require_folder(collection, NONE))?;
    let start = Instant::now();
    let pool = arguments.runtime.pool();
    let bar = RowBar::new();
    let outcome = pool.install(|| {
        merge(&arguments.out, &arguments.collections, arguments.prepare.as_ref(), &mut |written| {
            bar.show(written)
        })
    });
    bar.finish();
    let done = outcome?;
    tell_ungraphed(&done.ungraphed);
    let seconds = start.elapsed().as_secs_f64();
    let images: u64 = done.manifest.segments.iter().map(|segment| segment.images).sum();
    let patches: u64 = done.manifest.segments.iter().map(|segment| segment.patches).sum();
    if arguments.json {
        output::json(&json!({
            "collection": arguments.out.to_string_lossy(), "images": images, "patches": patches,
            "root": done.manifest.root, "superseded": done.superseded,
            "metadata_dropped": done.metadata_dropped, "raw_dropped": done.raw_dropped, "seconds": seconds,
        }))?;
        return Ok(Outcome::Done);
    }
    output::message(&format!(
        "{}: {} below {}, {}, in {seconds:.1} s",
        arguments.out.display(),
        output::counted(images, "image"),
        done.manifest.root,
        output::counted(patches, "patch")
    ));
    if done.superseded > 0 {
        output::message(&format!(
            "{} of the same path in several; the newest file was taken",
            output::counted(done.superseded as u64, "image")
        ));
    }
    if let [first, others @ ..] = done.metadata_dropped.as_slice() {
        let others = match others.len() {
            0 => String::new(),
            count => format!(" and of {count} more"),
        };
        output::message(&format!(
            "metadata of {}{others} was left out: it was said of another content than the newest file's",
            output::name(first)
        ));
    }
    if done.raw_dropped {
        output::message("raw tokens were left out: not all of the collections keep them");
    }
    Ok(Outcome::Done)
}
