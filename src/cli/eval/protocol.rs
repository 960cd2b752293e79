//! What the protocols share: which vectors, and where the figures go.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::ModelArguments;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::target::{PAGE_START, check_target, command_line, write_target};
use crate::dims::{Method, Source};
use crate::eval::{Encoder, Mean, ProtocolReport};
use crate::index::{DEFAULT_EF, INDEX_KINDS, IndexKind};
use crate::metric::{METRICS, Metric};
use crate::report::{ProtocolPage, protocol_page};

/// What makes the vectors.
#[derive(Args)]
pub(super) struct EncoderArguments {
    #[command(flatten)]
    pub model: ModelArguments,
    /// Linear map of the tokens: model (the one that comes with the model), none, centre, standardise, drop:N, keep:FILE, remove:K,
    /// pca:N, whiten (these are fitted on the unchanged images of the protocol), or file:PATH (a collection's, or a file)
    #[arg(long, value_name = "MAP", default_value = "model")]
    prepare: Source,
    /// Drop the N dimensions of highest variance; short for --prepare drop:N
    #[arg(long, value_name = "N", conflicts_with = "prepare")]
    drop_dims: Option<usize>,
    /// Similarity
    #[arg(long, value_name = "NAME", default_value = METRICS[0].name, value_parser = METRICS.map(|metric| metric.name))]
    similarity: String,
}

impl EncoderArguments {
    /// Opens the model and says what is done with its tokens.
    pub fn open(&self) -> Result<Encoder, Failure> {
        let source = self.drop_dims.map_or_else(|| self.prepare.clone(), |n| Source::Own(Method::Drop(n)));
        let metric = Metric::named(&self.similarity).unwrap_or(METRICS[0]);
        Ok(Encoder::new(self.model.open()?, &source, metric, self.model.runtime.threads())?)
    }
}

/// The index that answers.
#[derive(Args)]
pub(super) struct IndexArguments {
    /// Kind of index that answers
    #[arg(long, value_name = "KIND", default_value = INDEX_KINDS[0].name, value_parser = INDEX_KINDS.map(|kind| kind.name))]
    index: String,
    /// Nodes that a graph keeps in view
    #[arg(long, value_name = "N", default_value_t = DEFAULT_EF as u32, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ef: u32,
}

impl IndexArguments {
    pub fn kind(&self) -> &'static IndexKind {
        IndexKind::named(&self.index).unwrap_or(&INDEX_KINDS[0])
    }
}

/// Where the figures go.
#[derive(Args)]
pub(crate) struct OutputArguments {
    /// Print one JSON object, with every query
    #[arg(long)]
    json: bool,
    /// Also write the figures, one a line
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Also write a page with figures, plots, and the best and worst queries
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl OutputArguments {
    /// Whether the files may be written; a table of figures starts with `csv_start`. Found out before the work.
    pub fn check(&self, csv_start: &str) -> Result<(), Failure> {
        let files = [
            (&self.csv, "--csv", "a table of figures", csv_start),
            (&self.html, "--html", "a page", PAGE_START),
        ];
        files.into_iter().try_for_each(|(file, option, what, start)| {
            file.as_deref().map_or(Ok(()), |file| check_target(file, option, what, start))
        })
    }

    /// Writes the files that are asked for, and prints the report.
    pub fn write<R: Serialize>(
        &self,
        report: &R,
        csv: impl FnOnce() -> String,
        html: impl FnOnce() -> Result<String, Failure>,
        print: impl FnOnce(&R) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if let Some(file) = &self.csv {
            write_target(file, &csv())?;
        }
        if let Some(file) = &self.html {
            write_target(file, &html()?)?;
        }
        match self.json {
            true => output::json(report),
            false => print(report),
        }
    }

    /// The same for a protocol with images of its own.
    pub fn write_protocol(&self, report: &ProtocolReport) -> Result<(), Failure> {
        let page = || {
            let (version, command) = (env!("CARGO_PKG_VERSION"), command_line());
            Ok(protocol_page(&ProtocolPage { report, version, command: &command }))
        };
        self.write(report, || report.to_csv(), page, print_table)
    }

    /// How a protocol's table of figures starts.
    pub const CSV_START: &str = "metric,value,";
}

fn print_table(report: &ProtocolReport) -> Result<(), Failure> {
    let ProtocolReport { model, machine, .. } = report;
    let facts: Vec<String> = report
        .data
        .0
        .iter()
        .filter(|(name, _)| name != "digest")
        .map(|(name, value)| fact(name, value))
        .collect();
    output::line(&format!(
        "data      {}\nmodel     {} ({}), {}, {}, {}; {}\nmachine   {}, {}, {}; {:.1} s\n",
        output::name(&facts.join(", ")),
        model.name,
        model.variant,
        model.output,
        model.preparation,
        model.similarity,
        model.provider,
        machine.cpu,
        output::counted(machine.cores as u64, "core"),
        machine.kernels,
        report.seconds,
    ))?;
    let (bold, plain) = output::bold();
    output::line(&format!("{bold}figure                      mean   95 % interval{plain}"))?;
    for (name, mean) in &report.metrics.0 {
        output::line(&format!("{name:<26} {:>6.3}   {}", mean.value, interval(mean)))?;
    }
    Ok(())
}

/// `tiles 16`
fn fact(name: &str, value: &serde_json::Value) -> String {
    let value = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => list.len().to_string(),
        other => other.to_string(),
    };
    format!("{} {value}", name.replace('_', " "))
}

pub(crate) fn interval(mean: &Mean) -> String {
    mean.ci95.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.3} to {high:.3}"))
}
