//! The command line: arguments, printing, progress, exit codes. One file a command; one line in `Command`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the module that prints")]

mod add;
mod arguments;
mod bench;
mod compact;
mod completions;
mod condition;
mod demo;
mod dims;
mod eval;
mod export;
mod failure;
mod graphs;
mod import;
mod index;
mod inspect;
mod merge;
mod model;
mod nearest;
mod output;
mod pictures;
mod prepare;
mod progress;
mod query;
mod remove;
mod repair;
mod serve;
mod setup;
mod target;
mod tune;
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
    /// Find what a crop shows, and where; or the vectors nearest to given ones
    Query(query::Arguments),
    /// Bring a collection up to date: new, changed and moved images
    Add(add::Arguments),
    /// Take images out of a collection
    Remove(remove::Arguments),
    /// Make one new collection of several
    Merge(merge::Arguments),
    /// Give the room of removed images back and fold small segments
    Compact(compact::Arguments),
    /// Give a collection another preparation without embedding again
    Prepare(prepare::Arguments),
    /// Write all vectors, with images and boxes, or the list of images into one file that other programs read
    Export(export::Arguments),
    /// Make a collection of vectors that another program wrote
    Import(import::Arguments),
    /// Show what is inside a collection
    Inspect(inspect::Arguments),
    /// Check a collection: its structure, or every byte against its checksum
    Verify(verify::Arguments),
    /// Rebuild what can be rebuilt of a damaged collection, set the rest aside, say what was lost
    Repair(repair::Arguments),
    /// Answer searches over HTTP
    Serve(serve::Arguments),
    /// List, fetch, check and prepare models
    #[command(subcommand)]
    Model(model::Command),
    /// Measure on this machine
    #[command(subcommand)]
    Bench(bench::Command),
    /// Measure how good answers, models and preparations are
    #[command(subcommand)]
    Eval(eval::Command),
    /// Show how the dimensions of a collection's tokens vary, and what dropping does
    Dims(dims::Arguments),
    /// Choose a layer of a model and a preparation that suit one's images, without labels
    Tune(tune::Arguments),
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
        Command::Add(arguments) => add::run(&arguments),
        Command::Remove(arguments) => remove::run(&arguments),
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Compact(arguments) => compact::run(&arguments),
        Command::Prepare(arguments) => prepare::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Model(command) => model::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Eval(command) => eval::run(&command),
        Command::Dims(arguments) => dims::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
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
