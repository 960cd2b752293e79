//! `patchdex eval propagate`: whether the objects of a video's first frame are carried through it by its patches.

use std::path::PathBuf;

use clap::Args;

use super::protocol::{EncoderArguments, OutputArguments};
use crate::cli::Outcome;
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::core::Kind;
use crate::eval::{MaskedVideos, PropagateOptions, run_propagate};

/// Examples on a page: so many of the best videos, and of the worst.
const EXAMPLES: usize = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Videos with masks, laid out as DAVIS 2017: JPEGImages/480p, Annotations/480p and, for some of the videos, ImageSets/2017/val.txt
    #[arg(value_name = "DAVIS")]
    videos: PathBuf,
    /// Long side of a frame in model input pixels
    #[arg(long, value_name = "PX", default_value_t = 854, value_parser = clap::value_parser!(u32).range(16..=8192))]
    long_side: u32,
    /// Frames before a frame that it is compared with, beside the first one
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=1000))]
    context: u32,
    /// How far away a patch may have come from, in patches along each side
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    radius: u32,
    /// Most similar patches that a patch has its object of
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    k: u32,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.output.check(OutputArguments::CSV_START)?;
    let set = MaskedVideos::read(&arguments.videos)?;
    let encoder = arguments.encoder.open()?;
    if !encoder.metric.normalise {
        let message = "eval propagate weighs cosines; leave --similarity out";
        return Err(Failure::new(Kind::Invalid, message));
    }
    let options = PropagateOptions {
        long_side_px: arguments.long_side,
        context: arguments.context as usize,
        radius: arguments.radius,
        k: arguments.k as usize,
        examples: if arguments.output.html.is_some() { EXAMPLES } else { 0 },
    };
    let bar = QueryBar::of("videos");
    let report = run_propagate(&set, &encoder, &options, &mut |done, of| bar.show(done, of));
    bar.finish();
    arguments.output.write_protocol(&report?)?;
    Ok(Outcome::Done)
}
