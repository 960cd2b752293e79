//! Object instance retrieval as a page: figures with their intervals, slices, times, and the queries that were answered best
//! and worst, with boxes drawn.

use std::cmp::Ordering;

use maud::{Markup, html};

use super::measures::{digest, interval, table};
use super::page::Page;
use super::stage::stage;
use crate::eval::{
    Absent, Calibration, JudgedHit, Mean, QueryReport, RetrieveReport, Slice, VARIANT_FIGURES,
};
use crate::picture::Picture;

const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("ann.css"),
    include_str!("figure.css"),
    include_str!("retrieve.css")
);
/// Queries shown of the best, and of the worst.
const QUERIES_SHOWN: usize = 6;
/// Hits shown of each.
const HITS_SHOWN: usize = 5;
/// What makes a query better than another; where the first is equal, the second.
const BETTER_BY: [&str; 2] = ["map.trapezoidal", "miou"];
/// Figures that slices are shown by.
const SLICE_FIGURES: [&str; 5] = ["map.trapezoidal", "recall.10", "cmc.1", "success.iou.0.5", "ap.iou.0.5"];

/// Gives the picture of something, or why it cannot be shown.
type PictureOf<'a, T> = &'a dyn Fn(&T) -> Result<Picture, String>;

/// What the page shows.
pub struct RetrievePage<'a> {
    /// The figures.
    pub report: &'a RetrieveReport,
    /// Version of patchdex.
    pub version: &'a str,
    /// The command that measured.
    pub command: &'a str,
    /// The image of a query.
    pub query_picture: PictureOf<'a, QueryReport>,
    /// The image of a hit.
    pub hit_picture: PictureOf<'a, JudgedHit>,
}

/// One self-contained HTML page.
pub fn retrieve_page(input: &RetrievePage<'_>) -> String {
    let report = input.report;
    let mut ranked: Vec<&QueryReport> = report.per_query.iter().collect();
    // A stable sort: equal ones stay in the order of their file.
    ranked.sort_by(|a, b| {
        BETTER_BY
            .iter()
            .fold(Ordering::Equal, |so_far, name| so_far.then(figure(b, name).total_cmp(&figure(a, name))))
    });
    let shown = QUERIES_SHOWN.min(ranked.len().div_ceil(2));
    let worst = QUERIES_SHOWN.min(ranked.len() - shown);
    let page = Page {
        title: "object instance retrieval",
        style: STYLE,
        script: None,
        lead: html! { "Object instance retrieval on " b { (report.setup.data.gallery) } },
        content: html! {
            main {
                (facts(report))
                section { h2 { "All queries" } (table(&report.metrics)) }
                @if !report.slices.is_empty() { section { h2 { "By what is to be found" } (slices(&report.slices)) } }
                @if !report.variants.is_empty() { section { h2 { "Without a stage of the plan" } (variants(report)) } }
                @if let Some(said) = &report.calibration { section { h2 { "Probabilities" } (probabilities(said, report.absent.as_ref())) } }
                section { h2 { "Milliseconds a query" } (times(report)) }
                (gallery("Best answers", &ranked[..shown], input))
                (gallery("Worst answers", &ranked[ranked.len() - worst..], input))
            }
        },
        version: input.version,
        command: input.command,
    };
    page.into_html()
}

fn figure(query: &QueryReport, name: &str) -> f64 {
    query.metrics.named(name).copied().flatten().unwrap_or_default()
}

fn facts(report: &RetrieveReport) -> Markup {
    let (setup, machine, options) = (&report.setup, &report.machine, &report.options);
    let (data, collection, model) = (&setup.data, &setup.collection, &setup.model);
    html! {
        dl {
            dt { "gallery" } dd { (data.images) " images, " (data.boxes) " boxes of " (data.instances) " instances, " (data.distractors) " images beside them; " code { (digest(&data.gallery_digest)) } }
            dt { "queries" } dd { (data.queries) ": " (report.per_query.len()) " asked, " (report.left_out.len()) " with nothing to find, of " (data.query_boxes) "; " code { (digest(&data.queries_digest)) } }
            dt { "hits" } dd { "the first " (options.plan.top) ", " (report.index) " index" @if options.gap > 0 { "; frames less than " (options.gap) " from the query's do not count" } }
            dt { "collection" } dd { (collection.path) ", commit " (collection.commit) ", " (collection.images) " images of " (collection.long_side_px) " px, " (collection.vectors) "; " code { (digest(&collection.digest)) } }
            dt { "model" } dd { (model.name) ", " (model.output) "; " code { (digest(&model.digest)) } }
            dt { "preparation" } dd { (model.preparation) ", " (model.similarity) "; " code { (digest(&model.preparation_digest)) } }
            dt { "machine" } dd { (machine.cpu) ", " (machine.cores) " cores, " (machine.kernels) ", " (machine.os) }
        }
    }
}

/// The whole plan beside the plan without each stage that was left out.
fn variants(report: &RetrieveReport) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "without" } @for name in VARIANT_FIGURES { th { (name) } } th { "search p50 ms" } th { "rerank p50 ms" } } }
                tbody {
                    @for (without, metrics, timing) in report.plans() {
                        tr {
                            td { (without.unwrap_or("nothing")) }
                            @for name in VARIANT_FIGURES {
                                td { @if let Some(mean) = metrics.named(name) { (format!("{:.3}", mean.value)) } }
                            }
                            td { (format!("{:.1}", timing.search.p50)) } td { (format!("{:.1}", timing.rerank.p50)) }
                        }
                    }
                }
            }
        }
    }
}

/// What was said of the first hits beside what they are, and what is found that is not there.
fn probabilities(said: &Calibration, absent: Option<&Absent>) -> Markup {
    html! {
        p { "Of " (said.hits) " first hits: expected calibration error " (format!("{:.3}", said.ece)) ", Brier score " (format!("{:.3}", said.brier)) "." }
        @if let Some(absent) = absent {
            p {
                "With everything hidden that is right, " (percent(&absent.found)) " of " (absent.queries)
                " queries have a first hit of 0.5 or more, and with it " (percent(&absent.found_present))
                ". One in a hundred passes " (format!("{:.3}", absent.one_percent)) ", as "
                (percent(&absent.right_above)) " of the right hits do."
            }
        }
        div.wide {
            table {
                thead { tr { th { "probability" } th { "hits" } th { "mean" } th { "right" } } }
                tbody {
                    @for bin in &said.bins {
                        tr {
                            td { (format!("{:.1} to {:.1}", bin.from, bin.to)) } td { (bin.hits) }
                            td { (format!("{:.2}", bin.probability)) } td { (format!("{:.2}", bin.right)) }
                        }
                    }
                }
            }
        }
    }
}

fn percent(share: &Mean) -> String {
    format!("{:.1} %", 100.0 * share.value)
}

fn slices(slices: &[Slice]) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "slice" } th { "queries" } th { "boxes" } @for name in SLICE_FIGURES { th { (name) } } } }
                tbody {
                    @for slice in slices {
                        tr {
                            td { (slice.by) " " (slice.bin()) } td { (slice.queries) } td { (slice.boxes) }
                            @for name in SLICE_FIGURES {
                                td { @if let Some(mean) = slice.metrics.named(name) { (format!("{:.3}", mean.value)) div.hint { (interval(mean)) } } }
                            }
                        }
                    }
                }
            }
        }
        p.hint { "Boxes of other bins count neither way. Rotation and scale are relative to the query." }
    }
}

fn times(report: &RetrieveReport) -> Markup {
    let timing = &report.timing;
    let ms = |value: f64| format!("{value:.1}");
    html! {
        div.wide {
            table {
                thead { tr { th { "stage" } th { "p50" } th { "p95" } th { "p99" } } }
                tbody {
                    @for (stage, times) in timing.stages() {
                        tr { td { (stage) } td { (ms(times.p50)) } td { (ms(times.p95)) } td { (ms(times.p99)) } }
                    }
                }
            }
        }
        p.hint { (timing.queries) " queries, " (timing.queries_at_once) " at a time with a thread each; the first of each thread is left out." }
    }
}

fn gallery(title: &str, queries: &[&QueryReport], input: &RetrievePage<'_>) -> Markup {
    html! {
        @if !queries.is_empty() {
            section {
                h2 { (title) }
                @for query in queries {
                    div.asked {
                        (stage((input.query_picture)(query), &[(query.bbox, "box")], html! {
                            b { (query.instance) } " (query " (query.query) "); images to find: " (query.positives)
                            @for name in BETTER_BY { "; " (name) " " (format!("{:.3}", figure(query, name))) }
                        }))
                        @for (rank, hit) in (1..).zip(query.hits.iter().take(HITS_SHOWN)) {
                            @let truth = hit.truth.iter().map(|&bbox| (bbox, "box true"));
                            @let class = if hit.shows(0.5) { "box right" } else { "box wrong" };
                            @let boxes = truth.chain([(hit.bbox, class)]).collect::<Vec<_>>();
                            (stage((input.hit_picture)(hit), &boxes, html! {
                                b { (rank) ". " } (hit.image) ", " (format!("{:.3}", hit.score))
                                @if let Some(iou) = hit.iou { ", IoU " (format!("{iou:.2}")) }
                            }))
                        }
                    }
                }
                p.hint { "Green: IoU .5 or more with a box of the instance, or a right image where no box is known; red: less; dashed: that box." }
            }
        }
    }
}
