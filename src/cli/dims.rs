//! `patchdex dims`: how the dimensions of a collection's tokens vary, and what dropping the most variable ones does.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{NONE, RuntimeArguments, require_folder};
use super::eval::{OutputArguments, interval};
use super::failure::Failure;
use super::progress::QueryBar;
use super::target::{command_line, write_target};
use super::tune::identify_options;
use super::{Outcome, output};
use crate::core::Kind;
use crate::dims::{DimProfile, LONG, Profile};
use crate::eval::{DimsOptions, DimsReport, DropPoint, run_dims};
use crate::report::{DimsPage, dims_page};

/// Dimensions that are shown.
const SHOWN: usize = 10;
/// Numbers of dimensions whose share of the variance is told.
const SHARES: [usize; 5] = [1, 2, 10, 50, 200];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Another collection of the same model: how many of the dimensions of highest variance both share (repeatable)
    #[arg(long, value_name = "COLLECTION")]
    with: Vec<PathBuf>,
    /// Images that are embedded again where the collection was not indexed with --keep-raw, drawn by --seed
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    sample: u32,
    /// Draws images and tiles
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Also measure what dropping does: how many patches of changed tiles of the images are identified with so many dimensions dropped
    #[arg(long)]
    curve: bool,
    /// Tiles of 224 px that this is measured on
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..))]
    tiles: u32,
    /// Write the dimensions that are left when the N of highest variance are dropped into --keep-list; of no N, as many as --curve
    /// chooses
    #[arg(long, value_name = "N", requires = "keep_list")]
    drop: Option<usize>,
    /// File for 'index --prepare keep:FILE', one dimension a line
    #[arg(long, value_name = "FILE")]
    keep_list: Option<PathBuf>,
    /// Model folder or name [default: the one that made the collection]
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    runtime: RuntimeArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, NONE)?;
    arguments.output.check(DimsReport::CSV_START)?;
    if arguments.keep_list.is_some() && arguments.drop.is_none() && !arguments.curve {
        let message = "--keep-list needs --drop N, or --curve to choose it";
        return Err(Failure::new(Kind::Invalid, message));
    }
    let options = DimsOptions {
        sample: arguments.sample as usize,
        seed: arguments.seed,
        curve: arguments.curve.then(|| identify_options(arguments.tiles, arguments.seed)),
    };
    let engine = arguments.runtime.engine(arguments.model.clone());
    let others: Vec<&Path> = arguments.with.iter().map(PathBuf::as_path).collect();
    let bar = QueryBar::of("images");
    let told = &mut |done, of| bar.show(done, of);
    let report = run_dims(&arguments.collection, &others, &engine, &options, told);
    bar.finish();
    let report = report?;
    if let Some(file) = &arguments.keep_list {
        let chosen = arguments.drop.or(report.curve.as_ref().map(|curve| curve.drop)).unwrap_or(0);
        write_target(file, &kept(&report.profile, chosen)?)?;
    }
    let page = || {
        let (version, command) = (env!("CARGO_PKG_VERSION"), command_line());
        Ok(dims_page(&DimsPage { report: &report, version, command: &command }))
    };
    arguments.output.write(&report, || report.to_csv(), page, print)?;
    Ok(Outcome::Done)
}

/// The dimensions that are left, ascending, one a line.
fn kept(profile: &Profile, dropped: usize) -> Result<String, Failure> {
    let mut left: Vec<usize> = profile.dims.iter().skip(dropped).map(|one| one.dim).collect();
    left.sort_unstable();
    match left.is_empty() {
        true => {
            let message = format!("--drop {dropped} leaves nothing of {} dimensions", profile.dims.len());
            Err(Failure::new(Kind::Invalid, message))
        }
        false => Ok(left.iter().map(|dim| format!("{dim}\n")).collect()),
    }
}

fn print(report: &DimsReport) -> Result<(), Failure> {
    let profile = &report.profile;
    let (dims, norms) = (&profile.dims, &profile.norms);
    let source = if report.kept { "as they were kept" } else { "embedded again" };
    let (bold, plain) = output::bold();
    let median = dims[dims.len() / 2].variance;
    output::line(&format!(
        "tokens    {} of {}, {source}; {}, {}\n\
         dims      {}, median variance {median:.4}\n\
         length    median {:.2}, largest {:.2}; {} of more than {LONG} times the median\n",
        output::count(profile.count),
        output::counted(report.images as u64, "image"),
        report.model,
        report.output,
        dims.len(),
        norms.median,
        norms.most,
        output::counted(norms.long as u64, "token"),
    ))?;
    output::line(&format!("{bold}share of the variance   dimensions   directions{plain}"))?;
    for n in SHARES.into_iter().filter(|&n| n < dims.len()) {
        let of_dims = Profile::share(dims.iter().map(|one| one.variance), n);
        let of_directions = Profile::share(profile.spectrum.iter().copied(), n);
        output::line(&format!("the first {n:<13} {of_dims:>10.3} {of_directions:>12.3}"))?;
    }
    output::line(&format!("\n{bold}dim     variance   x median   kurtosis      mean{plain}"))?;
    for &DimProfile { dim, mean, variance, kurtosis } in dims.iter().take(SHOWN) {
        let times = if median > 0.0 { variance / median } else { f64::NAN };
        output::line(&format!("{dim:<4} {variance:>11.4} {times:>10.1} {kurtosis:>10.2} {mean:>9.3}"))?;
    }
    for overlap in &report.overlaps {
        let shared = overlap.of.iter().zip(&overlap.shared).map(|(of, shared)| format!("{shared} of {of}"));
        output::line(&format!(
            "\nshared with {}: {}",
            output::name(&overlap.with),
            shared.collect::<Vec<_>>().join(", ")
        ))?;
    }
    let Some(curve) = &report.curve else { return Ok(()) };
    output::line(&format!("\n{bold}dropped   same patch   95 % interval    gain{plain}"))?;
    for DropPoint { drop, same_patch, gain } in &curve.curve {
        let gained =
            if *drop == 0 { String::new() } else { format!("{:+.3} ({})", gain.value, interval(gain)) };
        output::line(&format!(
            "{drop:<9} {:>10.3}   {:<16} {gained}",
            same_patch.value,
            interval(same_patch)
        ))?;
    }
    output::line(&match curve.drop {
        0 => "dropping does not help: drop none".to_owned(),
        n => format!("drop {n}: patchdex index ... --drop-dims {n}"),
    })
}
