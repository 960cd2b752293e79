//! `patchdex eval retrieve`: how good the answers to labelled queries are.

use std::path::PathBuf;

use clap::Args;

use super::protocol::{OutputArguments, interval};
use crate::cli::arguments::{
    PlanArguments, ResidencyArgument, RuntimeArguments, parse_share, require_folder,
};
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::cli::target::command_line;
use crate::cli::{Outcome, output, pictures};
use crate::collection::Collection;
use crate::core::Kind;
use crate::engine::{Engine, EngineOptions};
use crate::eval::{
    Difficulty, InOrder, LabelledSet, Mean, RetrieveOptions, RetrieveReport, Role, VARIANT_FIGURES,
    run_retrieve,
};
use crate::query::{STAGES, Stage};
use crate::report::{RetrievePage, retrieve_page};

/// Figures of a slice that the table shows; all of them are in the files.
const SLICE_FIGURES: [&str; 3] = ["map.trapezoidal", "cmc.1", "success.iou.0.5"];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder of the collection, made of the gallery's images and any others
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Labels of the gallery, known by their form: a COCO or TAO file whose boxes say which instance they show
    /// (attributes.instance_id, or track_id; names of images are relative to its folder), BDD100K/Scalabel, a MOT Challenge or DAVIS
    /// folder, an ILIAS folder, or the ground truth of ROxford, RParis or INSTRE as tools/datasets/judged.py writes it
    #[arg(long, value_name = "LABELS")]
    gallery: PathBuf,
    /// Labels of the queries, such ones too: each box is a query [default: the queries of --gallery, or its boxes]
    #[arg(long, value_name = "LABELS")]
    queries: Option<PathBuf>,
    /// Which images are right where the gallery says how hard they are (ROxford, RParis): easy, medium (easy and hard) or hard
    /// [default: medium]
    #[arg(long, value_name = "NAME", value_parser = Difficulty::ALL.map(|(name, _)| name))]
    difficulty: Option<String>,
    /// Frames of the query's video (video_id) whose frame_index is less than this away are neither right nor wrong, as the
    /// query's own image
    #[arg(long, value_name = "N", default_value_t = 0)]
    gap: u32,
    /// Hits that count, best first, as of 'query --top'; ILIAS takes 1000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    top: u32,
    /// Intersections over union from which a box is right
    #[arg(long, value_name = "IOU,IOU", value_delimiter = ',', default_value = "0.3,0.5,0.75", value_parser = parse_share)]
    iou: Vec<f64>,
    /// Ask so many of the queries, drawn by --seed [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Draws the queries of --limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    plan: PlanArguments,
    /// Queries that are asked at the same time: they share the threads [default: as many as there are threads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    at_once: Option<u16>,
    /// Also ask each query with everything hidden that is right, to see how often something is found that is not there
    #[arg(long)]
    absent: bool,
    /// Also ask all queries without a stage of the plan, each in turn, to see what it brings and takes; without graphs every patch is
    /// compared
    #[arg(long, value_name = "STAGES", value_delimiter = ',', value_parser = stages())]
    without: Vec<String>,
    /// Model folder or name [default: the one that made the collection]
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    residency: ResidencyArgument,
    #[command(flatten)]
    runtime: RuntimeArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let queries = arguments.queries.as_ref().unwrap_or(&arguments.gallery);
    require_folder(&arguments.collection, &[&arguments.gallery, queries])?;
    arguments.output.check("slice,from,")?;
    let gallery = LabelledSet::read(&arguments.gallery, Role::Gallery)?;
    let queries = LabelledSet::read(queries, Role::Queries)?;
    let threads = arguments.runtime.threads();
    let options = RetrieveOptions {
        gap: arguments.gap,
        difficulty: difficulty(arguments, &gallery)?,
        ious: arguments.iou.clone(),
        limit: arguments.limit.map(|limit| limit as usize),
        seed: arguments.seed,
        threads,
        at_once: arguments.at_once.map_or(threads, usize::from),
        absent: arguments.absent,
        without: omitted(&arguments.without),
        plan: arguments.plan.plan(arguments.top as usize),
    };
    let residency = arguments.residency.residency;
    let one_thread =
        EngineOptions { threads: 1, residency, ..arguments.runtime.engine(arguments.model.clone()) };
    let engine = Engine::open(&arguments.collection, &one_thread)?;
    let bar = QueryBar::new();
    let report = run_retrieve(engine, &gallery, &queries, &options, &mut |done, of| bar.show(done, of));
    bar.finish();
    let report = report?;
    arguments.output.write(&report, || report.to_csv(), || page(arguments, &report), print_table)?;
    Ok(Outcome::Done)
}

/// What is asked for of a gallery with grades; none where it has none.
fn difficulty(arguments: &Arguments, gallery: &LabelledSet) -> Result<Option<Difficulty>, Failure> {
    let asked = arguments.difficulty.as_deref();
    let named =
        Difficulty::ALL.iter().find(|(name, _)| asked == Some(*name)).map(|(_, difficulty)| *difficulty);
    match gallery.boxes.iter().any(|labelled| labelled.grade.is_some()) {
        true => Ok(Some(named.unwrap_or(Difficulty::Medium))),
        false if asked.is_none() => Ok(None),
        false => {
            let file = arguments.gallery.display();
            let message =
                format!("{file}: its images have no grades of easy and hard; leave --difficulty out");
            Err(Failure::new(Kind::Invalid, message))
        }
    }
}

/// Stands for every stage.
const EVERY_STAGE: &str = "all";

fn stages() -> Vec<&'static str> {
    STAGES.iter().map(|stage| stage.name).chain([EVERY_STAGE]).collect()
}

/// The stages of those names.
fn omitted(names: &[String]) -> Vec<Stage> {
    let is_named = |stage: &&Stage| names.iter().any(|name| name == stage.name || name == EVERY_STAGE);
    STAGES.iter().filter(is_named).copied().collect()
}

fn page(arguments: &Arguments, report: &RetrieveReport) -> Result<String, Failure> {
    let collection = Collection::open(&arguments.collection)?;
    Ok(retrieve_page(&RetrievePage {
        report,
        version: env!("CARGO_PKG_VERSION"),
        command: &command_line(),
        query_picture: &|query| pictures::open(&query.path).map_err(|failure| failure.message().to_owned()),
        hit_picture: &|hit| {
            let file = collection.image_file(&hit.path);
            pictures::unchanged(&file, &hit.content).map_err(|failure| failure.message().to_owned())
        },
    }))
}

fn print_table(report: &RetrieveReport) -> Result<(), Failure> {
    let (setup, machine, timing) = (&report.setup, &report.machine, &report.timing);
    let (data, model) = (&setup.data, &setup.model);
    let count = |number: usize| output::count(number as u64);
    output::line(&format!(
        "data      {} ({}): {}, {}, {}; {} beside them\n\
         queries   {} ({}): {} asked, {} with nothing to find, of {}; hits {}, gap {}\n\
         model     {}, {}, {}; {} index\n\
         machine   {}, {}, {}; {} at a time\n",
        output::name(&data.gallery),
        data.gallery_form,
        output::counted(data.images as u64, "image"),
        output::counted(data.boxes as u64, "box"),
        output::counted(data.instances as u64, "instance"),
        output::counted(data.distractors as u64, "image"),
        output::name(&data.queries),
        data.queries_form,
        count(report.per_query.len()),
        count(report.left_out.len()),
        count(data.query_boxes),
        report.options.plan.top,
        report.options.gap,
        model.name,
        model.preparation,
        model.similarity,
        report.index,
        machine.cpu,
        output::counted(machine.cores as u64, "core"),
        machine.kernels,
        output::counted(timing.queries_at_once as u64, "query"),
    ))?;
    let (bold, plain) = output::bold();
    output::line(&format!("{bold}figure                mean   95 % interval{plain}"))?;
    for (name, mean) in &report.metrics.0 {
        output::line(&format!("{name:<20} {:>6.3}   {}", mean.value, interval(mean)))?;
    }
    if !report.slices.is_empty() {
        let names = SLICE_FIGURES.map(|name| format!("{name:>26}")).join("");
        output::line(&format!("\n{bold}slice                 queries  boxes{names}{plain}"))?;
    }
    for slice in &report.slices {
        let bin = format!("{} {}", slice.by, slice.bin());
        let figures: String =
            SLICE_FIGURES.iter().map(|name| format!("{:>26}", short(&slice.metrics, name))).collect();
        output::line(&format!("{bin:<21} {:>7} {:>6}{figures}", slice.queries, slice.boxes))?;
    }
    print_variants(report, bold, plain)?;
    print_probabilities(report)?;
    output::line(&format!("\n{bold}stage         p50 ms   p95 ms   p99 ms{plain}"))?;
    for (stage, times) in timing.stages() {
        output::line(&format!("{stage:<10} {:>9.1} {:>8.1} {:>8.1}", times.p50, times.p95, times.p99))?;
    }
    Ok(())
}

/// What each stage brings, and what it takes: the whole plan, and the plan without it.
fn print_variants(report: &RetrieveReport, bold: &str, plain: &str) -> Result<(), Failure> {
    if report.variants.is_empty() {
        return Ok(());
    }
    let names = VARIANT_FIGURES.map(|name| format!("{name:>17}")).join("");
    output::line(&format!("\n{bold}without     {names}   search ms  rerank ms{plain}"))?;
    for (without, metrics, timing) in report.plans() {
        let without = without.unwrap_or("-");
        let figure = |name: &&str| metrics.named(name).map_or(0.0, |mean| mean.value);
        let figures: String = VARIANT_FIGURES.iter().map(|name| format!("{:>17.3}", figure(name))).collect();
        let (search, rerank) = (timing.search.p50, timing.rerank.p50);
        output::line(&format!("{without:<12}{figures}{search:>12.1}{rerank:>11.1}"))?;
    }
    Ok(())
}

/// Whether probabilities are what they say, and what is found that is not there.
fn print_probabilities(report: &RetrieveReport) -> Result<(), Failure> {
    if let Some(said) = &report.calibration {
        output::line(&format!(
            "\nprobability   expected calibration error {:.3}, Brier score {:.3}, of {} first hits",
            said.ece,
            said.brier,
            output::count(said.hits as u64)
        ))?;
    }
    if let Some(absent) = &report.absent {
        output::line(&format!(
            "not there     {} with everything hidden that is right: {:.1} % have a first hit of 0.5 or more, with it {:.1} %;\n              1 % pass {:.3}, as {:.1} % of the right hits do",
            output::counted(absent.queries as u64, "query"),
            100.0 * absent.found.value,
            100.0 * absent.found_present.value,
            absent.one_percent,
            100.0 * absent.right_above.value
        ))?;
    }
    Ok(())
}

fn short(metrics: &InOrder<Mean>, name: &str) -> String {
    let shown = |mean: &Mean| format!("{:.3} ({})", mean.value, interval(mean));
    metrics.named(name).map_or_else(|| "-".to_owned(), shown)
}
