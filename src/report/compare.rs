//! Runs of a protocol side by side as a page: every figure with its difference from the first run's.

use maud::{Markup, html};

use super::measures::interval;
use super::page::Page;
use crate::eval::{Compared, Comparison, Mean};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("ann.css"), include_str!("compare.css"));

/// What the page shows.
pub struct ComparePage<'a> {
    /// The runs.
    pub comparison: &'a Comparison,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that compared.
    pub command: &'a str,
}

/// One self-contained HTML page.
pub fn compare_page(input: &ComparePage<'_>) -> String {
    let Comparison { of, runs, options, metrics, .. } = input.comparison;
    let page = Page {
        title: "comparison",
        style: STYLE,
        script: None,
        lead: html! { (runs.len()) " runs of " b { (of) } },
        content: html! {
            main {
                dl { @for (number, run) in (1..).zip(runs) {
                    dt { (number) } dd { (run.file) ": " (run.made_of) @if !run.same_data { " (other data than the first)" } }
                } }
                @if !options.0.is_empty() {
                    section {
                        div.wide { table {
                            thead { tr { th { "option" } @for number in 1..=runs.len() { th { (number) } } } }
                            tbody { @for (name, values) in &options.0 {
                                tr { td { (name) } @for value in values { td { (Comparison::shown(value)) } } }
                            } }
                        } }
                        p.hint { "Options in which the runs differ." }
                    }
                }
                section {
                    div.wide { table {
                        thead { tr { th { "figure" } th { "1" } @for number in 2..=runs.len() { th { (number) } th { "more than 1" } th { "95 % interval" } } } }
                        tbody { @for (name, one) in &metrics.0 { (line(name, one)) } }
                    } }
                    p.hint { "Differences are means over the queries that both runs have, with the interval of the paired bootstrap; bold where it does not hold 0." }
                }
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

fn line(name: &str, compared: &Compared) -> Markup {
    let Compared { values, differences } = compared;
    let is_sure = |mean: &Mean| mean.ci95.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
    html! {
        tr {
            td { (name) } td { (format!("{:.3}", values[0])) }
            @for (value, mean) in values[1..].iter().zip(differences) {
                td { (format!("{value:.3}")) }
                @match mean {
                    Some(mean) => { td.sure[is_sure(mean)] { (format!("{:+.3}", mean.value)) } td { (interval(mean)) } }
                    None => { td {} td {} }
                }
            }
        }
    }
}
