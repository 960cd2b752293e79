//! The dimensions of a collection's tokens as a page: the spectrum, the most variable dimensions, what others share, what dropping
//! does.

use maud::{Markup, html};

use super::curve::{Curve, CurvePoint, curve_plot};
use super::measures::interval;
use super::page::Page;
use crate::dims::{LONG, Profile};
use crate::eval::{DimsReport, DropChoice, Overlap};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("ann.css"), include_str!("protocol.css"));
/// Dimensions in the table.
const SHOWN: usize = 30;
/// Points of a spectrum.
const POINTS: usize = 80;

/// What the page shows.
pub struct DimsPage<'a> {
    /// The figures.
    pub report: &'a DimsReport,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that measured.
    pub command: &'a str,
}

/// One self-contained HTML page.
pub fn dims_page(input: &DimsPage<'_>) -> String {
    let report = input.report;
    let profile = &report.profile;
    let page = Page {
        title: "dimensions",
        style: STYLE,
        script: None,
        lead: html! { "Dimensions of " b { (report.collection) } },
        content: html! {
            main {
                dl {
                    dt { "tokens" } dd { (profile.count) " of " (report.images) " images, " (if report.kept { "as they were kept" } else { "embedded again" }) }
                    dt { "model" } dd { (report.model) ", " (report.output) ", " (profile.dims.len()) " dimensions" }
                    dt { "length" } dd { "median " (format!("{:.2}", profile.norms.median)) ", largest " (format!("{:.2}", profile.norms.most)) "; " (profile.norms.long) " tokens of more than " (LONG) " times the median" }
                    dt { "machine" } dd { (report.machine.cpu) ", " (report.machine.cores) " cores; " (format!("{:.1} s", report.seconds)) }
                }
                section { h2 { "Share of the variance" } div.plots { div.figure { (spectrum(profile)) } }
                    p.hint { "Of the dimensions of highest variance, and of the first principal directions: the further the curves lie above the diagonal, the more a few of them decide what is similar." } }
                @if let Some(curve) = &report.curve { section { h2 { "What dropping does" } (dropping(curve)) } }
                @if !report.overlaps.is_empty() { section { h2 { "Shared with other collections" } @for one in &report.overlaps { (overlap(one)) } } }
                section { h2 { "The most variable dimensions" } (dimensions(profile)) }
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

fn spectrum(profile: &Profile) -> Markup {
    let count = profile.dims.len();
    let curve = |name: &str, values: Vec<f64>| {
        let step = count.div_ceil(POINTS);
        let point = |n: usize| CurvePoint {
            x: n as f64,
            y: Profile::share(values.iter().copied(), n),
            interval: None,
        };
        Curve { name: name.to_owned(), points: (0..=count).step_by(step).map(point).collect() }
    };
    let curves = [
        curve("dimensions", profile.dims.iter().map(|one| one.variance).collect()),
        curve("directions", profile.spectrum.clone()),
    ];
    curve_plot(&curves, "number of them")
}

fn dropping(choice: &DropChoice) -> Markup {
    let point = |one: &crate::eval::DropPoint| CurvePoint {
        x: one.drop as f64,
        y: one.same_patch.value,
        interval: one.same_patch.ci95,
    };
    let curve = Curve { name: "same patch".to_owned(), points: choice.curve.iter().map(point).collect() };
    html! {
        div.plots { div.figure { (curve_plot(&[curve], "dimensions dropped")) } }
        p { @if choice.drop == 0 { "Dropping does not help." } @else { "Dropping " (choice.drop) " helps most." } }
        div.wide { table {
            thead { tr { th { "dropped" } th { "same patch" } th { "95 % interval" } th { "gain" } th { "95 % interval" } } }
            tbody { @for one in &choice.curve { tr {
                td { (one.drop) } td { (format!("{:.3}", one.same_patch.value)) } td { (interval(&one.same_patch)) }
                td { (format!("{:+.3}", one.gain.value)) } td { (interval(&one.gain)) }
            } } }
        } }
    }
}

fn overlap(overlap: &Overlap) -> Markup {
    html! {
        p { (overlap.with) ": "
            @for (at, (of, shared)) in overlap.of.iter().zip(&overlap.shared).enumerate() {
                @if at > 0 { ", " } (shared) " of " (of)
            }
        }
    }
}

fn dimensions(profile: &Profile) -> Markup {
    let all = || profile.dims.iter().map(|one| one.variance);
    html! {
        div.wide { table {
            thead { tr { th { "dimension" } th { "variance" } th { "share so far" } th { "kurtosis" } th { "mean" } } }
            tbody { @for (at, one) in profile.dims.iter().take(SHOWN).enumerate() { tr {
                td { (one.dim) } td { (format!("{:.4}", one.variance)) } td { (format!("{:.3}", Profile::share(all(), at + 1))) }
                td { (format!("{:.2}", one.kurtosis)) } td { (format!("{:.3}", one.mean)) }
            } } }
        } }
    }
}
