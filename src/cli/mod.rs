//! The command line: arguments, printing, progress, exit codes. One file a command; one line in `Command`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the module that prints")]

mod arguments;
mod completions;
mod demo;
mod failure;
mod index;
mod inspect;
mod model;
mod output;
mod pictures;
mod progress;
mod query;
mod setup;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Find this very object in my images, and show where.
///
/// patchdex indexes images at the level of Vision Transformer patches. A crop is the query; the answer is a ranked list
/// of images with a box, a score, and the patch matches behind each.
#[derive(Parser)]
#[command(
    name = "patchdex",
    version,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 done with rejects."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a collection from images; resumable
    Index(index::Arguments),
    /// Find what a crop shows, and where
    Query(query::Arguments),
    /// Show what is inside a collection
    Inspect(inspect::Arguments),
    /// Read every byte of a collection back against its checksum
    Verify(verify::Arguments),
    /// List, fetch, check and prepare models
    #[command(subcommand)]
    Model(model::Command),
    /// Install ONNX Runtime, the default model and sample photographs into the cache
    Setup(setup::Arguments),
    /// Index a folder (or the sample photographs), ask for a part of one image, write a page with the answer
    Demo(demo::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// How a command that did not fail ended.
pub(crate) enum Outcome {
    /// All of it was done.
    Done,
    /// It was done, but for some images.
    DoneWithRejects,
}

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Index(arguments) => index::run(&arguments),
        Command::Query(arguments) => query::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Model(command) => model::run(&command),
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => completions::run::<Cli>(&arguments),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::DoneWithRejects) => ExitCode::from(3),
        Err(failure) => failure.report(),
    }
}
