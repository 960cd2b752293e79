//! `patchdex model`: list, pull, check, prepare.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::Outcome;
use super::arguments::ModelArguments;
use super::failure::Failure;
use super::{index, output, pictures};
use crate::collection::MODEL_PREPARATION;
use crate::core::Kind;
use crate::dims::{Method, Preparation};
use crate::ingest;
use crate::model::registry::{self, KnownModel};
use crate::model::{self, DEFAULT_MODEL, hub};
use crate::picture::Picture;
use crate::storage;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the models on this machine, then those that are known: their licences, and how they are used best
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Fetch an ONNX model folder from the Hugging Face hub; prints the folder
    Pull {
        /// OWNER/NAME
        repository: String,
        /// Branch, tag or commit
        #[arg(long, default_value = "main")]
        revision: String,
        /// fp32, fp16 or int8
        #[arg(long)]
        variant: Option<String>,
        /// The model's licence was read and is accepted; needed where its owner wants that
        #[arg(long)]
        accept_licence: bool,
    },
    /// Open a model as `index` would, run a picture, report what was found
    Check(CheckArguments),
    /// Fit a preparation on images and write it into the model's folder, where `index` uses it from then on
    Prepare(PrepareArguments),
}

#[derive(Args)]
pub(crate) struct CheckArguments {
    /// Model folder, or the name of an installed model [default: --model]
    dir: Option<String>,
    /// Picture to run [default: a sample photograph]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Long side in model input pixels
    #[arg(long, value_name = "PX", default_value_t = 518, value_parser = clap::value_parser!(u32).range(16..=4096))]
    long_side: u32,
    #[command(flatten)]
    model: ModelArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct PrepareArguments {
    /// Images to fit on: many and varied
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Which map: centre, standardise, drop:N, remove:K, pca:N or whiten
    #[arg(long, default_value = "whiten")]
    method: Method,
    /// Long sides at which each image is embedded, in model input pixels
    #[arg(long, value_name = "PX", value_delimiter = ',', default_value = "518", value_parser = clap::value_parser!(u32).range(16..=4096))]
    long_sides: Vec<u32>,
    /// File to write [default: preparation.pdx in the model's folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
}

pub(crate) fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::List { json } => list(*json)?,
        Command::Pull { repository, revision, variant, accept_licence } => {
            show_licence(repository, *accept_licence)?;
            pull(repository, revision, variant.as_deref())?;
        }
        Command::Check(arguments) => check(arguments)?,
        Command::Prepare(arguments) => return prepare(arguments),
    }
    Ok(Outcome::Done)
}

fn list(json: bool) -> Result<(), Failure> {
    let describe = |name: String, folder: PathBuf| {
        let spec = model::ModelSpec::load(&folder, None);
        json!({
            "name": name, "folder": folder.to_string_lossy(), "default": name == DEFAULT_MODEL,
            "patch_px": spec.as_ref().ok().map(|spec| spec.patch_px),
            "hidden_size": spec.as_ref().ok().map(|spec| spec.hidden_size),
            "prepared": folder.join(MODEL_PREPARATION).is_file(),
            "licence": spec.as_ref().ok().and_then(|spec| spec.licence.clone()).or_else(|| {
                registry::of_repository(&name).map(|known| known.licence.clone())
            }),
            "error": spec.err().map(|error| error.to_string()),
        })
    };
    let file_name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut models: Vec<_> =
        model::installed().into_iter().map(|folder| describe(file_name(&folder), folder)).collect();
    let pulled = hub::cached(&hub::HubOptions::from_env());
    models.extend(pulled.into_iter().map(|(name, _, folder)| describe(name, folder)));
    if json {
        return output::json(&json!({ "models": models, "known": registry::known() }));
    }
    if models.is_empty() {
        output::message("no models here; 'patchdex setup' installs the default one");
    }
    for model in &models {
        let mark = if model["default"] == true { "*" } else { " " };
        let facts = match model["error"].as_str() {
            Some(error) => error.to_owned(),
            None => format!(
                "patches of {} px, {} numbers, {}",
                model["patch_px"],
                model["hidden_size"],
                model["licence"].as_str().unwrap_or("licence not said")
            ),
        };
        let text = |key: &str| model[key].as_str().unwrap_or_default().to_owned();
        output::line(&format!("{mark} {:<28} {facts}  {}", text("name"), text("folder")))?;
    }
    output::line("\nknown, to be made into folders by tools/export:")?;
    registry::known().iter().try_for_each(show_known)
}

/// Two lines: what the model is, and how it is used best.
fn show_known(model: &KnownModel) -> Result<(), Failure> {
    let gated = if model.gated { " (gated: to be accepted)" } else { "" };
    let drop = match model.drop_dims {
        0 => String::new(),
        count => format!(" --drop-dims {count}"),
    };
    output::line(&format!(
        "  {:<28} patches of {} px, {} numbers, {}{gated}  {}\n  {:<28} --long-side {}{drop}: {}",
        model.name, model.patch_px, model.dim, model.licence, model.source, "", model.long_side, model.reason
    ))
}

/// Says under which licence a known model is, before anything is fetched; one that has to be accepted must be.
fn show_licence(repository: &str, accepted: bool) -> Result<(), Failure> {
    let Some(known) = registry::of_repository(repository) else { return Ok(()) };
    if !known.gated || accepted {
        output::message(&format!("{repository}: licence of the weights: {}", known.licence));
        return Ok(());
    }
    let place = known.licence_url.as_deref().unwrap_or(&known.source);
    let message = format!(
        "{repository} has weights under the {}, which its owner wants to be accepted: read {place}, accept it on the hub, \
         then add --accept-licence",
        known.licence
    );
    Err(Failure::new(Kind::Invalid, message))
}

fn pull(repository: &str, revision: &str, variant: Option<&str>) -> Result<(), Failure> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{msg:32} {bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
    {
        bar.set_style(style);
    }
    let mut last = String::new();
    let folder = hub::pull(repository, revision, variant, &hub::HubOptions::from_env(), &mut |progress| {
        if last != progress.file {
            last = progress.file.to_owned();
            if bar.is_hidden() {
                output::message(&format!("fetching {last}"));
            }
            bar.reset();
            bar.set_message(last.clone());
        }
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.done_bytes);
    });
    bar.finish_and_clear();
    output::line(&folder?.display().to_string())
}

fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let mut named = arguments.model.clone();
    named.model = arguments.dir.clone().unwrap_or(named.model);
    let model = named.open()?;
    let picture = check_picture(arguments)?;
    let threads = named.runtime.threads();
    let report = model::check(&model, &picture, arguments.long_side, threads, 5)?;
    if arguments.json {
        return output::json(&report);
    }
    let ports = |ports: &[model::Port]| {
        ports.iter().map(model::Port::to_string).collect::<Vec<_>>().join("\n             ")
    };
    let size = match report.size.as_str() {
        "dynamic" => format!("any multiple of {} px", report.patch_px),
        fixed => format!("{fixed} px only: views are stretched to it"),
    };
    output::line(&format!(
        "model        {} in {}\nlicence      {}\ninputs       {}\noutputs      {}\ntokens       from '{}': {} prefix, then patches of {} px, {} numbers each\n\
         size         {size}\nran          {}x{} px: {}x{} patches\nspeed        {:.1} ms a picture, {:.2} images/s with {}\n\
         device       {}\nruntime      {}\nfine: 'patchdex index' can use it",
        report.name,
        model.spec.dir.display(),
        report.licence.as_deref().unwrap_or("not said in config.json"),
        ports(&report.graph.inputs),
        ports(&report.graph.outputs),
        report.output,
        report.prefix_tokens,
        report.patch_px,
        report.hidden_size,
        report.picture_px.0,
        report.picture_px.1,
        report.grid.0,
        report.grid.1,
        report.run_ms,
        report.images_per_s,
        output::counted(report.threads as u64, "thread"),
        report.device,
        report.library.display(),
    ))
}

fn check_picture(arguments: &CheckArguments) -> Result<Picture, Failure> {
    let sample = model::cache_dir().join("photos").join("motorcycle_left.png");
    match &arguments.image {
        Some(path) => pictures::open(path),
        None if sample.is_file() => pictures::open(&sample),
        None => {
            let message = format!(
                "the sample photograph {} is not here; run 'patchdex setup', or give a picture with --image",
                sample.display()
            );
            Err(Failure::new(Kind::NotFound, message))
        }
    }
}

fn prepare(arguments: &PrepareArguments) -> Result<Outcome, Failure> {
    let sources = index::collect(&arguments.images, None)?;
    let model = arguments.model.open()?;
    if matches!(arguments.method, Method::None | Method::Keep(_)) {
        let message = "this method needs no fitting; give it to 'patchdex index --prepare'";
        return Err(Failure::new(Kind::Invalid, message));
    }
    Preparation::check_method(&arguments.method, model.spec.hidden_size)?;
    let bar = ProgressBar::with_draw_target(Some(sources.files.len() as u64), ProgressDrawTarget::stderr());
    let threads = arguments.model.runtime.threads();
    let fitted = ingest::moments(&sources, &model, &arguments.long_sides, threads, &mut || bar.inc(1));
    bar.finish_and_clear();
    let (moments, rejects) = fitted?;
    let preparation = Preparation::fit(&arguments.method, &moments, None)?;
    let out = arguments.out.clone().unwrap_or_else(|| model.spec.dir.join(MODEL_PREPARATION));
    storage::write_atomic(&out, &preparation.to_bytes())?;
    for reject in &rejects {
        output::message(&format!("left out {}: {}", output::name(&reject.path), reject.message));
    }
    output::message(&format!(
        "{} fitted on {} of {}: {} (digest {:.12})",
        arguments.method,
        output::counted(moments.count, "patch"),
        output::counted((sources.files.len() + sources.rejects.len() - rejects.len()) as u64, "image"),
        out.display(),
        preparation.digest()
    ));
    Ok(if rejects.is_empty() { Outcome::Done } else { Outcome::DoneWithRejects })
}
