//! `patchdex repair`: save what can be saved of a damaged collection.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, require_folder};
use super::failure::{Failure, advised};
use super::graphs::tell_ungraphed;
use super::output;
use super::progress::GraphBar;
use crate::collection::repair;
use crate::core::Fault;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, NONE)?;
    let mut bar = GraphBar::default();
    let outcome = repair(&arguments.collection, &mut |graphs| bar.show(graphs));
    bar.finish();
    let copy = "; restore it from a copy";
    let mut done = outcome.map_err(|error| Failure::new(error.kind(), advised(&error, copy)))?;
    let told = done.rebuilt.iter_mut().chain(&mut done.lost);
    told.for_each(|what| *what = advised(what, ""));
    tell_ungraphed(&done.ungraphed);
    let shown = arguments.collection.display();
    let outcome = if done.lost.is_empty() { Outcome::Done } else { Outcome::DoneWithRejects };
    if arguments.json {
        output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "rebuilt": done.rebuilt, "lost": done.lost,
            "lost_images": done.lost_images, "quarantined": done.quarantined,
        }))?;
        return Ok(outcome);
    }
    if done.is_empty() {
        output::message(&format!("{shown} is sound: nothing to repair"));
    }
    done.rebuilt.iter().for_each(|what| output::message(&format!("rebuilt {what}")));
    done.lost.iter().for_each(|what| output::message(&format!("lost {what}")));
    done.lost_images.iter().try_for_each(|image| output::line(&output::name(image)))?;
    if !done.quarantined.is_empty() {
        let files = output::counted(done.quarantined.len() as u64, "file");
        output::message(&format!("{files} set aside in {shown}/quarantine"));
    }
    let is_lost = |what: &str| done.lost.iter().any(|lost| lost.contains(what));
    if is_lost(" images of segment ") {
        output::message(&format!("'patchdex add {shown} IMAGES' embeds lost images again"));
    }
    if is_lost("the metadata of segment ") {
        output::message(&format!("'patchdex add {shown} --metadata FILE' attaches lost metadata again"));
    }
    Ok(outcome)
}
