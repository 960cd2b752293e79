//! `patchdex verify`: is a collection what was written?

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, require_folder};
use super::failure::{Failure, advised};
use super::output;
use crate::collection::{Damage, verify};
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
    let faults: Vec<String> = report.damage.iter().map(|damage| advised(&damage.error, "")).collect();
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
    let shown = arguments.collection.display();
    match faults.len() {
        0 => {
            output::message(&format!("{shown} is sound: {read}"));
            Ok(Outcome::Done)
        }
        count => {
            let faults = output::counted(count as u64, "fault");
            let is_damage = |damage: &Damage| damage.error.kind() == Kind::Corrupt;
            let advice = match report.damage.iter().any(is_damage) {
                true => format!(
                    "; restore it from a copy, or let 'patchdex repair {shown}' save what can be saved"
                ),
                false => String::new(),
            };
            Err(Failure::new(Kind::Corrupt, format!("{shown} is damaged: {faults} in {read}{advice}")))
        }
    }
}
