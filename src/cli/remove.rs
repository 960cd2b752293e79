//! `patchdex remove`: take images out of a collection.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{one_of, require_folder};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::output;
use crate::collection::{Selection, remove};

#[derive(Args)]
#[command(group = one_of(&["patterns", "ids", "missing"]))]
#[command(override_usage = "patchdex remove [OPTIONS] <COLLECTION> <IMAGES|--id <ID>|--missing>")]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Paths of images or folders, as the collection names them or absolute, or patterns such as '2019/**/*.jpg'
    #[arg(value_name = "IMAGES")]
    patterns: Vec<String>,
    /// Image by its id, or the first digits of it (repeatable); 'inspect --images' shows ids
    #[arg(long = "id", value_name = "ID")]
    ids: Vec<String>,
    /// Also images whose file is gone from the disk
    #[arg(long)]
    missing: bool,
    /// Only say which images would go
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, &arguments.patterns)?;
    let selection = Selection {
        patterns: arguments.patterns.clone(),
        ids: arguments.ids.clone(),
        missing: arguments.missing,
    };
    let removal = remove(&arguments.collection, &selection, arguments.dry_run)?;
    tell_ungraphed(&removal.ungraphed);
    let (shown, images) =
        (arguments.collection.display(), output::counted(removal.images.len() as u64, "image"));
    if arguments.json {
        output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "removed": removal.images,
            "dead_patches": removal.patches, "dry_run": arguments.dry_run,
        }))?;
    } else if arguments.dry_run {
        removal.images.iter().try_for_each(|image| output::line(&output::name(image)))?;
        output::message(&format!("{images} would be removed from {shown}"));
    } else {
        output::message(&format!("{images} removed from {shown}"));
        if removal.patches > 0 {
            output::message(&format!(
                "{} without an image until 'patchdex compact {shown}'",
                output::counted(removal.patches, "vector")
            ));
        }
    }
    Ok(Outcome::Done)
}
