//! `patchdex eval`: how good answers and models are, by the protocols of `crate::eval`. One file a protocol; one line in `Command`.

mod identify;
mod protocol;
mod retrieve;
mod track;

use clap::Subcommand;

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
}

pub(crate) fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Retrieve(arguments) => retrieve::run(arguments),
        Command::Identify(arguments) => identify::run(arguments),
        Command::Track(arguments) => track::run(arguments),
    }
}
