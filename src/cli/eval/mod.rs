//! `patchdex eval`: how good answers and models are, by the protocols of `crate::eval`. One file a protocol; one line in `Command`.

mod compare;
mod identify;
mod propagate;
mod protocol;
mod retrieve;
mod segment;
mod track;

use clap::Subcommand;
pub(super) use protocol::{OutputArguments, interval};

use super::Outcome;
use super::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Object instance retrieval: boxes of labelled images as queries, ranked images and boxes as answers
    Retrieve(retrieve::Arguments),
    /// Instance identification: the patches of shifted, blurred, noisy, turned and scaled tiles among those of the unchanged ones;
    /// needs no labels
    Identify(identify::Arguments),
    /// Association between frames: labelled boxes of a video are matched to those of later frames by the tokens inside
    Track(track::Arguments),
    /// Label propagation: the objects of a video's first frame are carried from frame to frame by the most similar patches
    Propagate(propagate::Arguments),
    /// Few-shot segmentation: patches get the classes of the patches of labelled images that they are most similar to
    Segment(segment::Arguments),
    /// Few-shot segmentation of images that are blurred, noisy, or overlaid with bands of frequencies
    Robustness(segment::Arguments),
    /// Runs of a protocol side by side, with their differences query by query
    Compare(compare::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Retrieve(arguments) => retrieve::run(arguments),
        Command::Identify(arguments) => identify::run(arguments),
        Command::Track(arguments) => track::run(arguments),
        Command::Propagate(arguments) => propagate::run(arguments),
        Command::Segment(arguments) => segment::segment(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Robustness(arguments) => segment::robustness(arguments),
    }
}
