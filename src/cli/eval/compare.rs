//! `patchdex eval compare`: runs of a protocol side by side.

use std::path::PathBuf;

use clap::Args;

use super::protocol::{OutputArguments, interval};
use crate::cli::failure::Failure;
use crate::cli::target::command_line;
use crate::cli::{Outcome, output};
use crate::eval::{Compared, Comparison, compare};
use crate::report::{ComparePage, compare_page};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Reports that 'patchdex eval ... --json' printed, of the same protocol; all others are compared with the first
    #[arg(value_name = "REPORT", required = true, num_args = 2..)]
    reports: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.output.check(Comparison::CSV_START)?;
    let comparison = compare(&arguments.reports)?;
    for run in comparison.runs.iter().filter(|run| !run.same_data) {
        output::message(&format!("{}: measured on other data than {}", run.file, comparison.runs[0].file));
    }
    let page = || {
        let (version, command) = (env!("CARGO_PKG_VERSION"), command_line());
        Ok(compare_page(&ComparePage { comparison: &comparison, version, command: &command }))
    };
    arguments.output.write(&comparison, || comparison.to_csv(), page, print)?;
    Ok(Outcome::Done)
}

fn print(comparison: &Comparison) -> Result<(), Failure> {
    for (number, run) in (1..).zip(&comparison.runs) {
        output::line(&format!("{number}  {}: {}", output::name(&run.file), output::name(&run.made_of)))?;
    }
    for (name, values) in &comparison.options.0 {
        let values: Vec<String> = values.iter().map(Comparison::shown).collect();
        output::line(&format!("{name}: {}", output::name(&values.join(" | "))))?;
    }
    let (bold, plain) = output::bold();
    let others: String = (2..=comparison.runs.len())
        .map(|number| format!("{number:>8}   {:<26}", "more than 1 (95 %)"))
        .collect();
    output::line(&format!("\n{bold}{:<28}{:>6}{others}{plain}", comparison.of, 1))?;
    for (name, Compared { values, differences }) in &comparison.metrics.0 {
        let shown = |(value, mean): (&f64, &Option<crate::eval::Mean>)| {
            let more =
                mean.map_or_else(String::new, |mean| format!("{:+.3} ({})", mean.value, interval(&mean)));
            format!("{value:>8.3}   {more:<26}")
        };
        let others: String = values[1..].iter().zip(differences).map(shown).collect();
        output::line(format!("{name:<28}{:>6.3}{others}", values[0]).trim_end())?;
    }
    Ok(())
}
