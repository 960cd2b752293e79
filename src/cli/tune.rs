//! `patchdex tune`: which layer and preparation suit one's images, chosen without labels.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{ModelArguments, parse_layer};
use super::eval::{OutputArguments, interval};
use super::failure::Failure;
use super::progress::QueryBar;
use super::target::command_line;
use super::{Outcome, index, output};
use crate::dims::{Method, Source};
use crate::eval::{Condition, IdentifyOptions, Setting, TuneOptions, TuneReport, run_tune};
use crate::index::{DEFAULT_EF, INDEX_KINDS};
use crate::metric::{METRICS, Metric};
use crate::model::DEFAULT_MODEL;
use crate::report::{TunePage, tune_page};

/// What tiles go through: strong changes rank layers and preparations as retrieval does, weak ones favour early layers.
const CONDITIONS: [(&str, f64); 3] = [("blur", 8.0), ("rotation", 20.0), ("scale", 1.2)];
/// Side of the tiles, in pixels.
const TILE_PX: u32 = 224;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Image files, folders, or patterns
    #[arg(value_name = "IMAGES", required = true)]
    images: Vec<PathBuf>,
    /// Layers to rate, by number, or last [default: all that the graph gives]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = parse_layer)]
    layers: Vec<String>,
    /// Preparations to rate, as of 'patchdex index --prepare'; they are fitted on the unchanged tiles, but for model,
    /// which is rated on the layer that it belongs to, where the model brings one
    #[arg(
        long,
        value_name = "MAP,MAP",
        value_delimiter = ',',
        default_value = "none,standardise,drop:50,remove:3,whiten,model"
    )]
    prepare: Vec<Source>,
    /// Similarity
    #[arg(long, value_name = "NAME", default_value = METRICS[0].name, value_parser = METRICS.map(|metric| metric.name))]
    similarity: String,
    /// Use so many tiles of 224 px of the images, drawn by --seed
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..))]
    tiles: u32,
    /// Draws tiles and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// How patches are identified to choose by it.
pub(crate) fn identify_options(tiles: u32, seed: u64) -> IdentifyOptions {
    let is_meant =
        |condition: &Condition| CONDITIONS.contains(&(condition.transformation.name, condition.level));
    IdentifyOptions {
        tile_px: TILE_PX,
        input_px: TILE_PX,
        conditions: Condition::all().filter(is_meant).collect(),
        notebook_map: false,
        index: &INDEX_KINDS[0],
        ef: DEFAULT_EF,
        limit: None,
        tiles: Some(tiles as usize),
        seed,
        examples: 0,
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.output.check(TuneReport::CSV_START)?;
    let sources = index::collect(&arguments.images, None)?;
    let model = arguments.model.open()?;
    let options = TuneOptions {
        outputs: arguments.layers.clone(),
        preparations: arguments.prepare.clone(),
        metric: Metric::named(&arguments.similarity).unwrap_or(METRICS[0]),
        threads: arguments.model.runtime.threads(),
        identify: identify_options(arguments.tiles, arguments.seed),
    };
    let bar = QueryBar::of("images");
    let report = run_tune(&sources, &model, &options, &mut |done, of| bar.show(done, of));
    bar.finish();
    let report = report?;
    let page = || {
        let (version, command) = (env!("CARGO_PKG_VERSION"), command_line());
        Ok(tune_page(&TunePage { report: &report, version, command: &command }))
    };
    arguments.output.write(&report, || report.to_csv(), page, |report| print_table(arguments, report))?;
    Ok(Outcome::Done)
}

fn print_table(arguments: &Arguments, report: &TuneReport) -> Result<(), Failure> {
    let (bold, plain) = output::bold();
    output::line(&format!(
        "{} of {} tiles, {}; {:.1} s\n\n{bold}layer                  preparation    same patch   95 % interval    behind the best{plain}",
        report.conditions.join(", "),
        report.settings.first().map_or(0, |best| best.same_patch.queries),
        report.similarity,
        report.seconds,
    ))?;
    for Setting { output: layer, preparation, same_patch, behind, .. } in &report.settings {
        let behind =
            behind.map_or_else(String::new, |behind| format!("{:.3} ({})", behind.value, interval(&behind)));
        output::line(&format!(
            "{layer:<22} {preparation:<14} {:>10.3}   {:<16} {behind}",
            same_patch.value,
            interval(same_patch)
        ))?;
    }
    output::line(&format!("\n{}", report.reason()))?;
    output::line(&format!("patchdex index ... {}", chosen_options(arguments, report)))
}

/// What makes `index` use the best setting.
fn chosen_options(arguments: &Arguments, report: &TuneReport) -> String {
    let Some(best) = report.choice() else { return String::new() };
    let model = match arguments.model.model.as_str() {
        DEFAULT_MODEL => String::new(),
        model => format!("--model {model} "),
    };
    let prepare = match best.preparation.parse::<Source>() {
        Ok(Source::Own(Method::Drop(n))) => format!("--drop-dims {n}"),
        _ => format!("--prepare {}", best.preparation),
    };
    let variant =
        arguments.model.variant.as_ref().map_or_else(String::new, |name| format!("--variant {name} "));
    let metric = match arguments.similarity.as_str() {
        name if name == METRICS[0].name => String::new(),
        name => format!(" --metric {name}"),
    };
    format!("{model}{variant}--output {} {prepare}{metric}", best.output)
}
