//! `patchdex verify`: is a collection what was written?

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, require_folder};
use super::failure::Failure;
use super::output;
use crate::collection::verify;
use crate::core::Kind;
use crate::segment::Depth;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection
    collection: PathBuf,
    /// Look at the structure only: lengths, headers, section tables, image tables
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Read every byte back against its checksum; the default
    #[arg(long)]
    full: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, NONE)?;
    let start = Instant::now();
    let depth = if arguments.quick { Depth::Quick } else { Depth::Full };
    let report = verify(&arguments.collection, depth)?;
    let seconds = start.elapsed().as_secs_f64();
    let faults: Vec<String> = report.damage.iter().map(|damage| damage.error.to_string()).collect();
    if arguments.json {
        output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "files": report.files, "bytes": report.bytes,
            "seconds": seconds, "sound": faults.is_empty(), "damage": faults,
        }))?;
    } else {
        faults.iter().try_for_each(|fault| output::line(&output::name(fault)))?;
    }
    let read = format!(
        "{}, {}, in {seconds:.2} s",
        output::counted(report.files as u64, "file"),
        output::bytes(report.bytes)
    );
    match faults.len() {
        0 => {
            output::message(&format!("{} is sound: {read}", arguments.collection.display()));
            Ok(Outcome::Done)
        }
        count => {
            let faults = output::counted(count as u64, "fault");
            let message = format!("{} is damaged: {faults} in {read}", arguments.collection.display());
            Err(Failure::new(Kind::Corrupt, message))
        }
    }
}
