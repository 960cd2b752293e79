//! `patchdex index`: build a collection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::arguments::{GraphArguments, MergeArguments, ModelArguments, one_of, parse_bytes, parse_views};
use super::failure::Failure;
use super::graphs::tell_ungraphed;
use super::output;
use super::progress::{IndexBar, QueryBar};
use super::tune::identify_options;
use crate::collection::GraphWish;
use crate::core::Kind;
use crate::dims::{Method, Source};
use crate::eval::{DropChoice, EvalError, choose_drop};
use crate::index::RowKind;
use crate::ingest::{self, IndexOptions, MetadataFile, Reject, Sources, Summary, ViewChoice};
use crate::metric::{METRICS, Metric};
use crate::model::Model;
use crate::picture::Limits;

/// Tiles by which --drop-dims auto chooses.
const DROP_TILES: u32 = 32;
/// Rejects that are shown; all of them are in the list beside the collection.
const SHOWN_REJECTS: usize = 5;

#[derive(Args)]
#[command(group = one_of(&["images", "files_from"]))]
pub(crate) struct Arguments {
    /// Image files, folders, or patterns such as 'photos/**/*.jpg'
    #[arg(value_name = "IMAGES")]
    images: Vec<PathBuf>,
    /// Folder of the collection; new or empty, or where the same command stopped
    #[arg(long, short, value_name = "COLLECTION")]
    out: PathBuf,
    /// File with one image path a line, relative to the file's folder
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
    /// Long side of the whole image, and of every tile, in model input pixels
    #[arg(long, value_name = "PX", default_value_t = 518, value_parser = clap::value_parser!(u32).range(16..=4096))]
    long_side: u32,
    /// What the model sees of an image: whole; tiles:PX or tiles:PX/OVERLAP, beside it overlapping tiles of PX image pixels where it
    /// is larger; pyramid, beside it its four overlapping quarters. Small objects get more patches so
    #[arg(long, value_name = "VIEWS", default_value = "whole", value_parser = parse_views)]
    views: ViewChoice,
    /// Linear map of the tokens: model (the one that comes with the model), none, centre, standardise, drop:N,
    /// keep:FILE, remove:K, pca:N, whiten (these are fitted on the collection), or file:PATH (another collection's)
    #[arg(long, value_name = "MAP", default_value = "model")]
    prepare: Source,
    /// Drop the N dimensions of highest variance, short for --prepare drop:N; auto: as many as help to identify patches of the images
    /// when these are turned, enlarged and blurred, which may be none
    #[arg(long, value_name = "N|auto", conflicts_with = "prepare", value_parser = parse_drop)]
    drop_dims: Option<DropDims>,
    /// Element kind of the stored vectors
    #[arg(long, value_name = "KIND", default_value = RowKind::DEFAULT.name, value_parser = RowKind::ALL.map(|kind| kind.name))]
    vectors: String,
    /// Similarity; crops are answered by cosine only, the others serve query --vectors
    #[arg(long, value_name = "NAME", default_value = METRICS[0].name, value_parser = METRICS.map(|metric| metric.name))]
    metric: String,
    #[command(flatten)]
    graph: GraphArguments,
    #[command(flatten)]
    merge: MergeArguments,
    /// Also keep the model's own tokens, so that another preparation needs no embedding
    #[arg(long)]
    keep_raw: bool,
    /// Memory for images in flight; each session of the model needs its own beside it
    #[arg(long, value_name = "BYTES", default_value = "1G", value_parser = parse_bytes)]
    memory: u64,
    /// Views of equal size that go through the model together, at most: one is fastest on a processor
    /// [default: 1 on a processor, else 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: Option<u16>,
    /// CSV, TSV, JSON or JSON lines with columns for each image, named in a column image, path, file or file_name;
    /// returned with hits, and for 'query --where'
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Refuse images of more pixels than this
    #[arg(long, value_name = "PIXELS", default_value_t = Limits::default().max_pixels)]
    max_pixels: u64,
    /// Only say how many patches, bytes and seconds it would take
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object when done
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let sources = collect(&arguments.images, arguments.files_from.as_deref())?;
    let model = arguments.model.open()?;
    let options = arguments.options(&sources, &model)?;
    let pool = arguments.model.runtime.pool();
    if arguments.dry_run {
        let forecast = pool.install(|| ingest::forecast(&sources, &model, &options))?;
        return match arguments.json {
            true => output::json(&forecast),
            false => print_forecast(&forecast, &options),
        }
        .map(|()| Outcome::Done);
    }
    let stop = stop_flag();
    let start = Instant::now();
    let summary = pool.install(|| build(&sources, &model, &options, &stop))?;
    tell_ungraphed(&summary.ungraphed);
    report(&summary, &options, start.elapsed().as_secs_f64(), arguments.json)?;
    Ok(if summary.rejects.is_empty() { Outcome::Done } else { Outcome::DoneWithRejects })
}

/// Finds the images, and says which ones are of kinds that are not read.
pub(crate) fn collect(images: &[PathBuf], files_from: Option<&Path>) -> Result<Sources, Failure> {
    let sources = ingest::collect(images, files_from)?;
    let count: usize = sources.unread.values().sum();
    if count > 0 {
        let kinds: Vec<String> =
            sources.unread.iter().map(|(extension, count)| format!("{count} .{extension}")).collect();
        output::message(&format!(
            "{} not looked at ({}): convert {} to JPEG, PNG or WebP",
            output::counted(count as u64, "other image file"),
            kinds.join(", "),
            if count == 1 { "it" } else { "them" },
        ));
    }
    Ok(sources)
}

/// Indexes with a progress bar.
pub(crate) fn build(
    sources: &Sources,
    model: &Model,
    options: &IndexOptions,
    stop: &AtomicBool,
) -> Result<Summary, Failure> {
    let bar = IndexBar::new();
    let outcome = ingest::index(sources, model, options, stop, &mut |status| bar.show(status));
    bar.finish();
    Ok(outcome?)
}

/// A flag that the first Ctrl-C sets; the second ends the process.
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // The journal is whole after every image: ending here loses only what is in flight.
            #[expect(clippy::disallowed_methods, reason = "a handler has nobody to return to")]
            std::process::exit(130);
        }
        output::message("stopping after the images in flight; Ctrl-C again ends at once");
    });
    stop
}

/// How many dimensions to drop.
#[derive(Clone, Copy)]
enum DropDims {
    Auto,
    Number(usize),
}

fn parse_drop(text: &str) -> Result<DropDims, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(DropDims::Auto),
        (_, Ok(number)) => Ok(DropDims::Number(number)),
        _ => Err("give a number of dimensions, or auto".to_owned()),
    }
}

/// Drops as many dimensions as help to identify patches of the images, and says so; where none does, tokens are prepared as they are
/// without a word of it.
fn chosen_drop(sources: &Sources, model: &Model, metric: Metric, threads: usize) -> Result<Source, Failure> {
    let bar = QueryBar::of("images looked at to choose what to drop");
    let options = identify_options(DROP_TILES, 0);
    let told = &mut |done, of| bar.show(done, of);
    let choice = choose_drop(sources, model, metric, threads, &options, told);
    bar.finish();
    let DropChoice { drop, curve } = match choice {
        Err(error @ EvalError::NoTiles { .. }) => {
            output::message(&format!("no dimension is dropped, as nothing can be measured: {error}"));
            return Ok(Source::Model);
        }
        choice => choice?,
    };
    let share = |n: usize| {
        100.0 * curve.iter().find(|point| point.drop == n).map_or(0.0, |point| point.same_patch.value)
    };
    if drop == 0 {
        let message = format!(
            "no dimension is dropped: {:.1} % of patches are identified without, and no number helps; tokens are prepared as by default",
            share(0)
        );
        output::message(&message);
        return Ok(Source::Model);
    }
    output::message(&format!(
        "{} of highest variance dropped: {:.1} % of patches are identified instead of {:.1} %",
        output::counted(drop as u64, "dimension"),
        share(drop),
        share(0)
    ));
    Ok(Source::Own(Method::Drop(drop)))
}

impl Arguments {
    fn options(&self, sources: &Sources, model: &Model) -> Result<IndexOptions, Failure> {
        let unknown = |what: &str| Failure::new(Kind::Invalid, format!("unknown {what}"));
        let metric = Metric::named(&self.metric).ok_or_else(|| unknown("--metric"))?;
        let threads = self.model.runtime.threads();
        let graph = GraphWish { merge_similar: self.merge.merge_similar, ..self.graph.wish() };
        if let Some(why) = graph.misfit(metric) {
            return Err(Failure::new(Kind::Invalid, format!("--merge-similar and --metric: {why}")));
        }
        Ok(IndexOptions {
            out: self.out.clone(),
            long_side_px: self.long_side,
            views: self.views,
            prepare: match self.drop_dims {
                Some(DropDims::Number(n)) => Source::Own(Method::Drop(n)),
                Some(DropDims::Auto) => chosen_drop(sources, model, metric, threads)?,
                None => self.prepare.clone(),
            },
            vectors: RowKind::named(&self.vectors).ok_or_else(|| unknown("--vectors"))?,
            metric,
            graph,
            keep_raw: self.keep_raw,
            threads,
            batch: self.batch.map(usize::from),
            memory_bytes: self.memory,
            metadata: read_metadata(self.metadata.as_deref())?,
            limits: Limits { max_pixels: self.max_pixels, ..Limits::default() },
        })
    }
}

/// Reads the file of `--metadata`.
pub(crate) fn read_metadata(path: Option<&Path>) -> Result<Option<Arc<MetadataFile>>, Failure> {
    Ok(path.map(MetadataFile::read).transpose()?.map(Arc::new))
}

fn print_forecast(forecast: &ingest::Forecast, options: &IndexOptions) -> Result<(), Failure> {
    output::line(&format!(
        "{} (and {} that cannot be read), {}, {}\n{} in {}, {} more while it is built\nabout {} with {}",
        output::counted(forecast.images as u64, "image"),
        forecast.rejects,
        output::counted(forecast.views as u64, "view"),
        output::counted(forecast.patches, "patch"),
        output::bytes(forecast.bytes),
        options.out.display(),
        output::bytes(forecast.temporary_bytes),
        indicatif::HumanDuration(std::time::Duration::from_secs_f64(forecast.seconds)),
        output::counted(options.threads as u64, "thread"),
    ))
}

/// Says what came of it: on standard error, or as JSON on standard output.
pub(crate) fn report(
    summary: &Summary,
    options: &IndexOptions,
    seconds: f64,
    json: bool,
) -> Result<(), Failure> {
    let status = &summary.status;
    let indexed = summary.images;
    if json {
        return output::json(&json!({
            "collection": options.out.to_string_lossy(), "images": indexed, "resumed": status.resumed,
            "embedded_views": summary.embedded_views, "patches": status.patches, "seconds": seconds,
            "unchanged": summary.unchanged, "rejects": summary.rejects,
        }));
    }
    let out = options.out.display();
    let images = output::counted(indexed as u64, "image");
    let patches = output::counted(status.patches, "patch");
    match summary.unchanged {
        true => output::message(&format!("{out} is up to date: {images}, {patches}")),
        false => {
            let new = status.done - status.resumed;
            let speed = if seconds > 0.0 { new as f64 / seconds } else { 0.0 };
            let resumed = match status.resumed {
                0 => String::new(),
                resumed => format!(" ({resumed} of an earlier run)"),
            };
            output::message(&format!(
                "{out}: {images}{resumed}, {patches} in {seconds:.1} s ({speed:.2} images/s)"
            ));
        }
    }
    list_rejects(summary, &[]);
    tell_unmatched(summary);
    Ok(())
}

/// Says how many rows of the metadata were of no use.
pub(crate) fn tell_unmatched(summary: &Summary) {
    match summary.unmatched_metadata {
        0 => {}
        1 => output::message("1 row of the metadata names no image of the collection"),
        rows => output::message(&format!("{rows} rows of the metadata name no image of the collection")),
    }
}

/// Names the first images that could not be read, those that are in the collection as they were (`kept`) apart from
/// those that are not in it, and the list of all.
pub(crate) fn list_rejects(summary: &Summary, kept: &[String]) {
    let (old, new): (Vec<&Reject>, Vec<&Reject>) =
        summary.rejects.iter().partition(|reject| kept.contains(&reject.path));
    let list = summary.rejects_file.display();
    for (rejects, what) in [(new, "not indexed"), (old, "cannot be read now; what was indexed before stays")]
    {
        if rejects.is_empty() {
            continue;
        }
        output::message(&format!("{} {what}, listed in {list}:", rejects.len()));
        for reject in rejects.iter().take(SHOWN_REJECTS) {
            output::message(&format!("  {}: {}", output::name(&reject.path), reject.message));
        }
        if rejects.len() > SHOWN_REJECTS {
            output::message(&format!("  and {} more", rejects.len() - SHOWN_REJECTS));
        }
    }
}
