//! Figures on a page: means with their intervals, and digests in short.

use maud::{Markup, html};

use crate::eval::{InOrder, Mean};

/// All of them, one a line.
pub(super) fn table(metrics: &InOrder<Mean>) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { th { "figure" } th { "mean" } th { "95 % interval" } th { "0 to 1" } th { "queries" } } }
                tbody {
                    @for (name, mean) in &metrics.0 {
                        tr {
                            td { (name) } td { (format!("{:.3}", mean.value)) } td { (interval(mean)) } td { (bar(mean)) }
                            td { (mean.queries) }
                        }
                    }
                }
            }
        }
    }
}

/// The interval in words; nothing where there is none.
pub(super) fn interval(mean: &Mean) -> String {
    mean.ci95.map_or_else(String::new, |[low, high]| format!("{low:.3} to {high:.3}"))
}

/// The interval with the mean in it.
fn bar(mean: &Mean) -> Markup {
    let [low, high] = mean.ci95.unwrap_or([mean.value; 2]);
    html! {
        span.interval {
            i style=(format!("left:{:.1}%;width:{:.1}%", low * 100.0, (high - low) * 100.0)) {}
            b style=(format!("left:{:.1}%", mean.value * 100.0)) {}
        }
    }
}

/// As much of a digest as tells files apart.
pub(super) fn digest(hex: &str) -> &str {
    hex.get(..16).unwrap_or(hex)
}
