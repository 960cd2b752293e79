//! `patchdex eval track`: whether objects of a video are told apart by the tokens inside their boxes.

use std::path::{Path, PathBuf};

use clap::Args;

use super::protocol::{EncoderArguments, OutputArguments};
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::cli::{Outcome, output};
use crate::core::Kind;
use crate::eval::{LabelledSet, Role, Samples, TrackOptions, VideoFrames, is_video, run_track};

/// Examples on a page: so many of the best pairs of frames, and of the worst.
const EXAMPLES: usize = 3;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Labelled frames, known by their form: a folder with gt/gt.txt and img1 or a video (MOT Challenge), one with JPEGImages/480p and
    /// Annotations/480p (DAVIS), a COCO or TAO file whose images have video_id and frame_index, a BDD100K/Scalabel file or a folder
    /// of these; or, with --labels, a video or a folder of frames that are named by their numbers
    #[arg(value_name = "SEQUENCE")]
    sequence: PathBuf,
    /// Boxes of a video or of a folder of frames, as gt/gt.txt of MOT Challenge has them; the first frame has number 1. Videos are
    /// decoded by ffmpeg, which must be installed
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// What goes through the model: whole, the frame at once; tiles:PX, tiles of PX model input pixels alone, put together
    /// afterwards
    #[arg(long, value_name = "VIEWS", default_value = "whole", value_parser = parse_views)]
    views: Views,
    /// Long side of a frame in model input pixels
    #[arg(long, value_name = "PX", default_value_t = 518, value_parser = clap::value_parser!(u32).range(16..=8192))]
    long_side: u32,
    /// Use every so many frames, from the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Last frame that is used, by its number [default: all]
    #[arg(long, value_name = "N")]
    last: Option<i64>,
    /// Differences of the numbers of frames that are compared [default: 1,3,5,...,59; with --every the multiples of it up to 60]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    gaps: Vec<u32>,
    /// Points along each side of a bin of RoIAlign: 1 is its centre; adaptive is as many as it has tokens
    #[arg(long, value_name = "N|adaptive", default_value = "1", value_parser = parse_samples)]
    samples: Samples,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    output: OutputArguments,
}

fn parse_samples(text: &str) -> Result<Samples, String> {
    let number = text.parse().ok().filter(|samples| (1..=8).contains(samples));
    match (text, number) {
        ("adaptive", _) => Ok(Samples::Adaptive),
        (_, Some(samples)) => Ok(Samples::Fixed(samples)),
        _ => Err("give a number from 1 to 8, or adaptive".to_owned()),
    }
}

/// Side of the tiles, or none.
#[derive(Clone)]
struct Views(Option<u32>);

fn parse_views(text: &str) -> Result<Views, String> {
    let side =
        text.strip_prefix("tiles:").and_then(|px| px.parse().ok()).filter(|px| (14..=4096).contains(px));
    match (text, side) {
        ("whole", _) => Ok(Views(None)),
        (_, Some(px)) => Ok(Views(Some(px))),
        _ => Err("give whole, or tiles:PX".to_owned()),
    }
}

/// Each once, in ascending order.
fn gaps(arguments: &Arguments) -> Vec<u32> {
    let mut gaps = match (arguments.gaps.as_slice(), arguments.every) {
        ([], 1) => (1..60).step_by(2).collect(),
        ([], every) => (every..=every.max(60)).step_by(every as usize).collect(),
        (gaps, _) => gaps.to_vec(),
    };
    gaps.sort_unstable();
    gaps.dedup();
    gaps
}

/// The labelled frames, and what keeps those of a video.
fn labelled(arguments: &Arguments) -> Result<(LabelledSet, Option<VideoFrames>), Failure> {
    let Arguments { sequence, labels, every, last, .. } = arguments;
    let of_video = |video: &Path, labels: &Path| {
        output::message(&format!("decoding {} with ffmpeg", video.display()));
        let frames = VideoFrames::decode(video, *every, *last)?;
        Ok((LabelledSet::of_video(video, frames.images.clone(), labels)?, Some(frames)))
    };
    match labels {
        Some(labels) if sequence.is_dir() => {
            Ok((LabelledSet::of_video(sequence, LabelledSet::frames(sequence)?, labels)?, None))
        }
        Some(labels) if sequence.extension().is_none_or(|extension| extension != "json") => {
            of_video(sequence, labels)
        }
        Some(_) => {
            let message = format!("{}: it has labels of its own; leave --labels out", sequence.display());
            Err(Failure::new(Kind::Invalid, message))
        }
        None if is_video(sequence) => {
            let message = format!(
                "{}: a video without labels; give the boxes of its frames with --labels gt.txt (MOT Challenge)",
                sequence.display()
            );
            Err(Failure::new(Kind::Invalid, message))
        }
        None => match LabelledSet::video_of(sequence) {
            Some((video, labels)) => of_video(&video, &labels),
            None => Ok((LabelledSet::read(sequence, Role::Gallery)?, None)),
        },
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.output.check(OutputArguments::CSV_START)?;
    if let Some(px) = arguments.views.0.filter(|&px| px > arguments.long_side) {
        let message = format!(
            "--views tiles:{px} is larger than --long-side {}; give smaller tiles",
            arguments.long_side
        );
        return Err(Failure::new(Kind::Invalid, message));
    }
    let (set, _frames) = labelled(arguments)?;
    let encoder = arguments.encoder.open()?;
    let options = TrackOptions {
        long_side_px: arguments.long_side,
        tile_px: arguments.views.0,
        every: arguments.every,
        last: arguments.last,
        gaps: gaps(arguments),
        samples: arguments.samples,
        examples: if arguments.output.html.is_some() { EXAMPLES } else { 0 },
    };
    let bar = QueryBar::of("frames");
    let report = run_track(&set, &encoder, &options, &mut |done, of| bar.show(done, of));
    bar.finish();
    arguments.output.write_protocol(&report?)?;
    Ok(Outcome::Done)
}
