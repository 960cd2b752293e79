//! Recall against latency as a plot, and as a page with the table, the machine and the command that measured.

use maud::{Markup, html};

use super::page::Page;
use super::plot::{PlotPoint, Series, recall_plot};
use crate::eval::{AnnReport, IndexReport};

const STYLE: &str = concat!(include_str!("page.css"), include_str!("ann.css"));

/// The plot alone, as an SVG file.
pub fn ann_plot(report: &AnnReport) -> String {
    plot(report).into_string()
}

/// One self-contained HTML page.
pub fn ann_page(report: &AnnReport, version: &str, command: &str) -> String {
    let page = Page {
        title: "recall against latency",
        style: STYLE,
        script: None,
        lead: html! { "Recall against latency on " b { (report.data.path) } },
        content: html! {
            main {
                section.figure { (plot(report)) }
                (facts(report))
                (table(report))
            }
        },
        version,
        command,
    };
    page.into_html()
}

fn plot(report: &AnnReport) -> Markup {
    let mut series: Vec<Series> = Vec::new();
    for point in &report.points {
        let name = match point.threads {
            1 => format!("{}, 1 thread", point.index),
            threads => format!("{}, {threads} threads", point.index),
        };
        let ef = point.ef.map_or_else(String::new, |ef| format!(", ef {ef}"));
        let shown = PlotPoint {
            recall: point.recall,
            qps: point.qps,
            label: format!("{name}{}: recall {:.4}, {:.0} queries/s", ef, point.recall, point.qps),
            on_front: point.pareto,
        };
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(shown),
            None => series.push(Series { name, points: vec![shown] }),
        }
    }
    recall_plot(&series, &format!("recall@{}", report.k))
}

fn facts(report: &AnnReport) -> Markup {
    let (data, machine) = (&report.data, &report.machine);
    let queries = match &data.queries_path {
        Some(path) => format!("{} of {path}", data.queries),
        None => format!("{}, held out", data.queries),
    };
    html! {
        dl {
            dt { "vectors" } dd { (data.rows) " × " (data.dim) " " (data.vectors) ", " (data.metric) }
            dt { "queries" } dd { (queries) }
            dt { "machine" } dd { (machine.cpu) ", " (machine.cores) " cores, " (machine.kernels) ", " (machine.os) }
            dt { "rounds" } dd { (report.rounds) }
            dt { "residency" } dd { (report.residency.name()) }
            @for index in &report.indexes { dt { (index.index) } dd { (cost(index, report.build_threads)) } }
        }
    }
}

fn cost(index: &IndexReport, threads: usize) -> String {
    let IndexReport { build_s, index_bytes, open_ms, .. } = index;
    let megabytes = *index_bytes as f64 / 1e6;
    format!(
        "built in {build_s:.2} s ({threads} threads), {megabytes:.1} MB, first answer after {open_ms:.2} ms"
    )
}

fn table(report: &AnnReport) -> Markup {
    let time = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "index" } th { "threads" } th { "ef" }
                        th { "recall@" (report.k) } th { "within 1e-3" } th { "queries/s" } th { "least to most" }
                        th { "p50 µs" } th { "p95 µs" } th { "p99 µs" }
                    }
                }
                tbody {
                    @for point in &report.points {
                        tr class=[point.pareto.then_some("front")] {
                            td { (point.index) } td { (point.threads) }
                            td { @if let Some(ef) = point.ef { (ef) } }
                            td { (format!("{:.4}", point.recall)) } td { (format!("{:.4}", point.recall_ann_benchmarks)) }
                            td { (format!("{:.0}", point.qps)) }
                            td { (format!("{:.0} to {:.0}", point.qps_min, point.qps_max)) }
                            td { (time(point.p50_us)) } td { (time(point.p95_us)) } td { (time(point.p99_us)) }
                        }
                    }
                }
            }
        }
        p.hint { "Bold: no other point with as many threads is better in recall and speed. " }
    }
}
