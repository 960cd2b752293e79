//! `patchdex prepare`: another preparation for a collection that kept the model's own tokens.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{NONE, RuntimeArguments, one_of, require_folder};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::output;
use super::progress::RowBar;
use crate::collection::prepare;
use crate::dims::{Method, Source};

#[derive(Args)]
#[command(group = one_of(&["prepare", "drop_dims"]))]
#[command(override_usage = "patchdex prepare [OPTIONS] <COLLECTION> <MAP|--drop-dims <N>>")]
pub(crate) struct Arguments {
    /// Folder of the collection; it was indexed with --keep-raw
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Linear map of the tokens, as of 'patchdex index --prepare'
    #[arg(value_name = "MAP")]
    prepare: Option<Source>,
    /// Drop the N dimensions of highest variance; short for drop:N
    #[arg(long, value_name = "N", conflicts_with = "prepare")]
    drop_dims: Option<usize>,
    #[command(flatten)]
    runtime: RuntimeArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let start = Instant::now();
    require_folder(&arguments.collection, NONE)?;
    let source = match (&arguments.prepare, arguments.drop_dims) {
        (Some(source), _) => source.clone(),
        (None, dropped) => Source::Own(Method::Drop(dropped.unwrap_or_default())),
    };
    let bar = RowBar::new();
    let pool = arguments.runtime.pool();
    let outcome = pool.install(|| prepare(&arguments.collection, &source, &mut |written| bar.show(written)));
    bar.finish();
    let prepared = outcome?;
    tell_ungraphed(&prepared.ungraphed);
    let preparation = prepared.preparation;
    let seconds = start.elapsed().as_secs_f64();
    let (spec, dim) = (&preparation.method, preparation.output_dim());
    match arguments.json {
        true => output::json(&json!({
            "collection": arguments.collection.to_string_lossy(), "preparation": spec, "dim": dim, "seconds": seconds,
        }))?,
        false => output::message(&format!(
            "{}: vectors are {spec} now, {dim} numbers each, in {seconds:.1} s",
            arguments.collection.display()
        )),
    }
    Ok(Outcome::Done)
}
