//! A protocol's figures as a page: curves over levels, all means with their intervals, the best and the worst examples.

use maud::{Markup, html};
use serde_json::Value;

use super::curve::{Curve, CurvePoint, curve_plot};
use super::measures::{digest, table};
use super::page::Page;
use super::stage::stage;
use crate::eval::{Curves, Example, Mark, Panel, ProtocolReport};

const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("ann.css"),
    include_str!("figure.css"),
    include_str!("retrieve.css"),
    include_str!("protocol.css")
);

/// What the page shows.
pub struct ProtocolPage<'a> {
    /// The figures.
    pub report: &'a ProtocolReport,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that measured.
    pub command: &'a str,
}

/// One self-contained HTML page.
pub fn protocol_page(input: &ProtocolPage<'_>) -> String {
    let report = input.report;
    let plots = report.curves();
    let page = Page {
        title: report.protocol,
        style: STYLE,
        script: None,
        lead: html! { "Protocol " b { (report.protocol) } ", " (report.model.name) },
        content: html! {
            main {
                (facts(report))
                @if !plots.is_empty() {
                    section { h2 { "By level" } div.plots { @for one in &plots { (plot(one)) } }
                        p.hint { "Bars: 95 % intervals of the bootstrap over " (report.per_query.len()) " queries." } }
                }
                section { h2 { "All figures" } (table(&report.metrics)) }
                @if !report.examples.is_empty() {
                    section.examples { h2 { "Best and worst" } @for one in &report.examples { (example(one)) }
                        p.hint { "Green: right; red: wrong; yellow: what was asked for; dashed: what would have been right." } }
                }
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

fn facts(report: &ProtocolReport) -> Markup {
    let ProtocolReport { model, machine, .. } = report;
    let listed = |facts: &[(String, Value)]| {
        let shown = facts.iter().filter(|(_, value)| !value.is_null());
        shown.map(|(name, value)| (name.replace('_', " "), text(name, value))).collect::<Vec<_>>()
    };
    html! {
        dl {
            @for (name, value) in listed(&report.data.0) { dt { (name) } dd { (value) } }
            dt { "model" } dd { (model.name) ", " (model.variant) ", " (model.output) "; " code { (digest(&model.digest)) } }
            dt { "preparation" } dd { (model.preparation) ", " (model.similarity) "; " code { (digest(&model.preparation_digest)) } }
            @for (name, value) in listed(&report.options.0) { dt { (name) } dd { (value) } }
            dt { "machine" } dd { (machine.cpu) ", " (machine.cores) " cores, " (machine.kernels) ", " (machine.os) "; " (model.provider) "; " (format!("{:.1} s", report.seconds)) }
        }
    }
}

fn text(name: &str, value: &Value) -> String {
    match value {
        Value::String(hex) if name.ends_with("digest") => digest(hex).to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) => list.iter().map(|value| text("", value)).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn plot(curves: &Curves<'_>) -> Markup {
    let curve = |(measure, points): &(&str, Vec<(f64, crate::eval::Mean)>)| Curve {
        name: measure.replace('_', " "),
        points: points
            .iter()
            .map(|&(x, mean)| CurvePoint { x, y: mean.value, interval: mean.ci95 })
            .collect(),
    };
    let lines: Vec<Curve> = curves.measures.iter().map(curve).collect();
    html! { div.figure { (curve_plot(&lines, curves.condition)) } }
}

fn example(example: &Example) -> Markup {
    html! {
        div.asked {
            @for (at, Panel { picture, marks }) in example.panels.iter().enumerate() {
                @let boxes = marks.iter().map(|&(bbox, mark)| (bbox, class(mark))).collect::<Vec<_>>();
                (stage(Ok(picture.clone()), &boxes, html! { @if at == 0 { (example.caption) } }))
            }
        }
    }
}

fn class(mark: Mark) -> &'static str {
    match mark {
        Mark::Query => "box",
        Mark::Right => "box right",
        Mark::Wrong => "box wrong",
        Mark::True => "box true",
    }
}
