//! `patchdex bench`: measure on this machine. A measurement is one file here.

mod ann;
mod embed;

use clap::Subcommand;

use super::Outcome;
use super::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Recall against latency of the index kinds
    Ann(ann::Arguments),
    /// Images a second of each stage of indexing, of the model alone in several forms, and of all together
    Embed(embed::Arguments),
}

pub(crate) fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Ann(arguments) => ann::run(arguments),
        Command::Embed(arguments) => embed::run(arguments),
    }
    .map(|()| Outcome::Done)
}
