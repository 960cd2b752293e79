//! `patchdex bench ann`: recall of nearest neighbours against latency.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::arguments::{GraphShape, parse_residency};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::target::{PAGE_START, check_target, command_line, write_target};
use crate::eval::{AnnData, AnnOptions, AnnReport, AnnStep, LoadOptions, Queries, run_ann};
use crate::index::{HnswParameters, INDEX_KINDS, IndexKind, RowKind};
use crate::metric::{METRICS, Metric};
use crate::report::{ann_page, ann_plot};
use crate::storage::Residency;

/// Efforts that are measured when none are named, in tenths of k.
const EF_TENTHS: [usize; 9] = [10, 16, 24, 40, 64, 100, 160, 250, 400];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Vectors to search: a collection, or a .npy, .fbin, .i8bin, .u8bin, .fvecs, .ivecs or .bvecs file
    #[arg(long, value_name = "FILE|COLLECTION")]
    data: PathBuf,
    /// File with the vectors to ask for [default: rows of the data, which are held out]
    #[arg(long, value_name = "FILE", conflicts_with = "query_count")]
    queries: Option<PathBuf>,
    /// Rows of the data that are held out to be asked for [default: 1000, but a tenth at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    query_count: Option<u32>,
    /// cosine, dot or l2 [default: the collection's, or cosine]
    #[arg(long, value_name = "NAME", value_parser = parse_metric)]
    metric: Option<Metric>,
    /// How vectors are stored: f32, f16 or i8 [default: as in the collection, or f16]
    #[arg(long, value_name = "KIND", value_parser = parse_rows)]
    vectors: Option<RowKind>,
    /// Index kinds
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_value = "exact,hnsw", value_parser = parse_index)]
    indexes: Vec<&'static IndexKind>,
    /// Nodes that a walk through a graph keeps in view: a point each [default: 9 values from --k to 40 times --k]
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    ef: Vec<u32>,
    #[command(flatten)]
    shape: GraphShape,
    /// Neighbours asked for
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    k: u32,
    /// Numbers of threads, or all: one asks query after query, more ask all together; indexes are built with the most
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,all", value_parser = parse_threads)]
    threads: Vec<usize>,
    /// How often everything is asked; the round in the middle counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// How the index's file lies in memory: mapped (read as it is needed), locked (mapped, read at once and kept there) or copied
    /// (into large pages, where the system has them)
    #[arg(long, value_name = "HOW", default_value = "mapped", value_parser = parse_residency)]
    residency: Residency,
    /// Also measure the first answer with the index's file out of the page cache (Linux, on a disk); vectors are in memory
    #[arg(long)]
    cold: bool,
    /// Chooses the rows that are held out, and the order in which a graph is built
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also write the points, one a line
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write the plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Also write a page with plot and table
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = [
        (&arguments.csv, "--csv", "a table of points", "index,ef,"),
        (&arguments.svg, "--svg", "a plot", "<svg"),
        (&arguments.html, "--html", "a page", PAGE_START),
    ];
    for (file, option, what, start) in files {
        file.as_deref().map_or(Ok(()), |file| check_target(file, option, what, start))?;
    }
    let scratch = std::env::temp_dir();
    let parameters = arguments.shape.wish(None).parameters();
    let options = AnnOptions {
        indexes: each_once(&arguments.indexes, |kind| kind.name),
        efs: efs(arguments),
        parameters: HnswParameters { seed: arguments.seed, ..parameters.unwrap_or_default() },
        k: arguments.k as usize,
        threads: each_once(&arguments.threads, |&threads| threads),
        rounds: arguments.rounds.into(),
        residency: arguments.residency,
        cold: arguments.cold,
        scratch: &scratch,
    };
    let count = arguments.query_count.map(|count| count as usize);
    let held_out = Queries::HeldOut { count, seed: arguments.seed };
    let queries = arguments.queries.as_deref().map_or(held_out, Queries::File);
    let load = LoadOptions { queries, metric: arguments.metric, rows: arguments.vectors };
    let bar = bar();
    bar.set_message("reading the vectors");
    let report = AnnData::load(&arguments.data, &load).and_then(|data| {
        let queries = data.about.queries;
        run_ann(&data, &options, &mut |step| show(&bar, queries, step))
    });
    bar.finish_and_clear();
    let report = report?;
    if arguments.cold && report.indexes.iter().any(|index| index.cold_open_ms.is_none()) {
        output::message(
            "the first answer from the disk was not measured: this system cannot take a file out of its page cache",
        );
    }
    let texts: [(&Option<PathBuf>, &dyn Fn() -> String); 3] = [
        (&arguments.csv, &|| report.to_csv()),
        (&arguments.svg, &|| ann_plot(&report)),
        (&arguments.html, &|| ann_page(&report, env!("CARGO_PKG_VERSION"), &command_line())),
    ];
    for (file, text) in texts {
        if let Some(file) = file {
            write_target(file, &text())?;
        }
    }
    match arguments.json {
        true => output::json(&report),
        false => print_table(&report),
    }
}

/// The values of `ef` of all points, each once.
fn efs(arguments: &Arguments) -> Vec<usize> {
    let k = arguments.k as usize;
    let efs: Vec<usize> = match arguments.ef.is_empty() {
        true => EF_TENTHS.map(|tenths| k * tenths / 10).to_vec(),
        false => arguments.ef.iter().map(|&ef| ef as usize).collect(),
    };
    each_once(&efs, |&ef| ef)
}

/// `values` in their order, the first of each `key`.
fn each_once<T: Copy, K: PartialEq>(values: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let is_first =
        |(at, value): &(usize, &T)| !values[..*at].iter().any(|earlier| key(earlier) == key(value));
    values.iter().enumerate().filter(is_first).map(|(_, value)| *value).collect()
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn show(bar: &ProgressBar, queries: usize, step: AnnStep) {
    bar.set_message(match step {
        AnnStep::Truth { done } => format!("finding the truth: {done}/{queries} queries"),
        AnnStep::Build { index } => format!("building {index}"),
        AnnStep::Measure { done, of } => format!("measuring: {done}/{of}"),
    });
}

fn print_table(report: &AnnReport) -> Result<(), Failure> {
    let (data, machine) = (&report.data, &report.machine);
    let held_out = if data.queries_path.is_none() { " held out" } else { "" };
    let mut head = format!(
        "data      {}: {} of {} numbers, {}, {}; {} queries{held_out}\nmachine   {}, {}, {}\n",
        data.path,
        output::counted(data.rows as u64, "vector"),
        data.dim,
        data.vectors,
        data.metric,
        output::count(data.queries as u64),
        machine.cpu,
        output::counted(machine.cores as u64, "core"),
        machine.kernels,
    );
    for index in &report.indexes {
        let cold =
            index.cold_open_ms.map_or_else(String::new, |took| format!(" ({took:.2} ms from the disk)"));
        let _ = writeln!(
            head,
            "{:<9} built in {:.2} s by {}, {}, first answer {:.2} ms after opening{cold}",
            index.index,
            index.build_s,
            output::counted(report.build_threads as u64, "thread"),
            output::bytes(index.index_bytes),
            index.open_ms,
        );
    }
    let _ = writeln!(head, "residency {}", report.residency.name());
    output::line(&head)?;
    let (bold, plain) = output::bold();
    output::line(&format!(
        "{bold}  index  threads      ef  recall@{:<5}     queries/s   p50 µs   p95 µs   p99 µs{plain}",
        report.k
    ))?;
    for point in &report.points {
        let number = |value: Option<usize>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let time = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        output::line(&format!(
            "{} {:<6} {:>7} {:>7} {:>13.4} {:>13.0} {:>8} {:>8} {:>8}",
            if point.pareto { '*' } else { ' ' },
            point.index,
            point.threads,
            number(point.ef),
            point.recall,
            point.qps,
            time(point.p50_us),
            time(point.p95_us),
            time(point.p99_us),
        ))?;
    }
    output::message("*: no other point with as many threads is better in recall and speed");
    Ok(())
}

fn parse_index(name: &str) -> Result<&'static IndexKind, String> {
    let known = || INDEX_KINDS.each_ref().map(|kind| kind.name).join(", ");
    IndexKind::named(name).ok_or_else(|| format!("no such index; there are {}", known()))
}

fn parse_metric(name: &str) -> Result<Metric, String> {
    let known = || METRICS.map(|metric| metric.name).join(", ");
    Metric::named(name).ok_or_else(|| format!("no such metric; there are {}", known()))
}

fn parse_rows(name: &str) -> Result<RowKind, String> {
    let known = || RowKind::ALL.map(|kind| kind.name).join(", ");
    RowKind::named(name).ok_or_else(|| format!("no such kind; there are {}", known()))
}

fn parse_threads(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        _ => match text.parse() {
            Ok(threads @ 1..=1024) => Ok(threads),
            _ => Err("give 1 to 1024, or all".to_owned()),
        },
    }
}
