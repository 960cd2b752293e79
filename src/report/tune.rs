//! A choice of layer and preparation as a page: a curve over the layers for each preparation, and all settings, best first.

use maud::{Markup, html};

use super::curve::{Curve, CurvePoint, curve_plot};
use super::measures::{digest, interval};
use super::page::Page;
use crate::eval::{Setting, TuneReport};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("ann.css"), include_str!("protocol.css"));

/// What the page shows.
pub struct TunePage<'a> {
    /// The figures.
    pub report: &'a TuneReport,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that measured.
    pub command: &'a str,
}

/// One self-contained HTML page.
pub fn tune_page(input: &TunePage<'_>) -> String {
    let report = input.report;
    let curves = curves(report);
    let page = Page {
        title: "tune",
        style: STYLE,
        script: None,
        lead: html! { "Layer and preparation for " b { (report.model) } },
        content: html! {
            main {
                dl {
                    dt { "choice" } dd { (report.reason()) }
                    dt { "tiles" } dd { (report.settings.first().map_or(0, |best| best.same_patch.queries)) ", " (report.conditions.join(", ")) }
                    dt { "model" } dd { (report.model) ", " (report.variant) "; " code { (digest(&report.model_digest)) } }
                    dt { "similarity" } dd { (report.similarity) }
                    dt { "machine" } dd { (report.machine.cpu) ", " (report.machine.cores) " cores, " (report.machine.kernels) "; " (format!("{:.1} s", report.seconds)) }
                }
                @if curves.iter().any(|curve| curve.points.len() > 1) {
                    section { h2 { "By layer" } div.plots { div.figure { (curve_plot(&curves, "layer")) } }
                        p.hint { "Share of patches identified; the last layer stands one further right." } }
                }
                section { h2 { "All settings" } (settings(&report.settings)) }
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

/// A curve over the layers for each preparation; `last_hidden_state` follows the last number.
fn curves(report: &TuneReport) -> Vec<Curve> {
    let number = |output: &str| output.rsplit('.').next().and_then(|number| number.parse::<u32>().ok());
    let last = report.settings.iter().filter_map(|one| number(&one.output)).max().unwrap_or(0) + 1;
    let mut names: Vec<&String> = report.settings.iter().map(|one| &one.preparation).collect();
    names.sort();
    names.dedup();
    let curve = |name: &&String| {
        let own = report.settings.iter().filter(|one| one.preparation == **name);
        let point = |one: &Setting| CurvePoint {
            x: f64::from(number(&one.output).unwrap_or(last)),
            y: one.same_patch.value,
            interval: one.same_patch.ci95,
        };
        let mut points: Vec<CurvePoint> = own.map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Curve { name: (*name).clone(), points }
    };
    names.iter().map(curve).collect()
}

fn settings(settings: &[Setting]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr {
                    th { "layer" } th { "preparation" } th { "numbers" } th { "same patch" } th { "95 % interval" } th { "behind the best" }
                    @if let Some(best) = settings.first() { @for (name, _) in &best.metrics.0 { th { (name) } } }
                } }
                tbody {
                    @for one in settings {
                        tr {
                            td { (one.output) } td { (one.preparation) } td { (one.dim) } td { (format!("{:.3}", one.same_patch.value)) }
                            td { (interval(&one.same_patch)) }
                            td { @if let Some(behind) = &one.behind { (format!("{:.3}", behind.value)) " (" (interval(behind)) ")" } }
                            @for (_, mean) in &one.metrics.0 { td { (format!("{:.3}", mean.value)) } }
                        }
                    }
                }
            }
        }
    }
}
