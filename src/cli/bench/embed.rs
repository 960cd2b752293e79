//! `patchdex bench embed`: how fast images become stored vectors.

use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::ModelArguments;
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::cli::{index, output};
use crate::eval::{Speed, ThroughputOptions, ThroughputReport, run_throughput};
use crate::ingest::IndexOptions;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Image files, folders, or patterns; a copy of an image is left out
    #[arg(value_name = "IMAGES", required = true)]
    images: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
    /// Long side of an image as the model sees it, in pixels
    #[arg(long, value_name = "PX", default_value_t = 518, value_parser = clap::value_parser!(u32).range(14..=16_384))]
    long_side: u32,
    /// Use the first N images only: all of them are held in memory as the model takes them
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Pictures of equal size that go through the model together, in the form with batches
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// How often everything is measured, in turn; the round in the middle counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut sources = index::collect(&arguments.images, None)?;
    sources.files.truncate(arguments.limit as usize);
    let model = arguments.model.open()?;
    let scratch = std::env::temp_dir();
    let mut indexing = IndexOptions::new(PathBuf::new(), arguments.model.runtime.threads());
    indexing.long_side_px = arguments.long_side;
    let options = ThroughputOptions {
        index: indexing,
        batch: arguments.batch.into(),
        rounds: arguments.rounds.into(),
        scratch: &scratch,
    };
    let bar = QueryBar::of("measurements");
    let report = run_throughput(&sources, &model, &options, &mut |done, of| bar.show(done, of));
    bar.finish();
    let report = report?;
    match arguments.json {
        true => output::json(&report),
        false => print(&report),
    }
}

fn print(report: &ThroughputReport) -> Result<(), Failure> {
    let machine = &report.machine;
    output::line(&format!(
        "model     {} {} on {}\nimages    {}, {} at {} px\nmachine   {}, {}; {} used\n",
        report.model,
        report.variant,
        report.device,
        output::count(report.images as u64),
        output::counted(report.patches as u64, "patch"),
        report.long_side_px,
        machine.cpu,
        output::counted(machine.cores as u64, "core"),
        output::counted(report.threads as u64, "thread"),
    ))?;
    let (bold, plain) = output::bold();
    let section = |title: &str, speeds: &[Speed]| {
        output::line(&format!("{bold}{title:<28} images/s  slowest  fastest{plain}"))?;
        speeds.iter().try_for_each(|speed| {
            let [least, most] = speed.range;
            output::line(&format!("{:<28} {:>8.2} {least:>8.2} {most:>8.2}", speed.name, speed.images_per_s))
        })
    };
    section("each stage alone", &report.stages)?;
    section("the model alone", &report.model_alone)?;
    section("all together", std::slice::from_ref(&report.index))?;
    if let (Some((stage, share)), Some(fastest)) = (report.bottleneck(), report.fastest()) {
        output::message(&format!(
            "index runs at {:.0} % of the model alone ({}); {:.0} % of the stages' time is {stage}",
            100.0 * report.share_of_model,
            fastest.name,
            100.0 * share
        ));
    }
    Ok(())
}
