//! Recall against queries a second as one SVG, readable on light and dark ground: a logarithmic scale of what is missed
//! spreads the recalls near 1, which is where they matter.

use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
/// Between the plot and the edges: left, top, right, bottom.
const MARGINS: [f64; 4] = [72.0, 16.0, 16.0, 56.0];
const LEGEND_LINE: f64 = 20.0;
/// Recalls that may have a line. The last stands for all that miss less than the scale shows.
const RECALLS: [f64; 14] =
    [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 1.0];
/// What is missed at the right end of the scale.
const LEAST_MISSED: f64 = 1e-4;
const STYLE: &str = include_str!("plot.css");
/// Colours that the style has.
const COLOURS: usize = 6;

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// The points.
    pub points: Vec<PlotPoint>,
}

/// One point.
#[derive(Clone, Debug)]
pub struct PlotPoint {
    /// Recall, 0 to 1.
    pub recall: f64,
    /// Queries a second, more than 0.
    pub qps: f64,
    /// What is shown when the point is pointed at.
    pub label: String,
    /// Whether nothing beats it: such points are filled and joined by a line.
    pub on_front: bool,
}

/// The drawing; `x_label` names the recall.
pub fn recall_plot(series: &[Series], x_label: &str) -> Markup {
    let scales = Scales::of(series);
    let [left, top, right, bottom] = MARGINS;
    let (end_x, end_y) = (WIDTH - right, HEIGHT - bottom);
    html! {
        svg.plot xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
            aria-label={ "Queries a second against " (x_label) } {
            style { (PreEscaped(STYLE)) }
            rect.ground width=(WIDTH) height=(HEIGHT) {}
            @for recall in scales.recalls() {
                @let x = px(scales.x(recall));
                line.rule x1=(x) x2=(x) y1=(px(top)) y2=(px(end_y)) {}
                text x=(x) y=(px(end_y + 18.0)) text-anchor="middle" { (recall) }
            }
            @for qps in scales.speeds() {
                @let y = px(scales.y(qps));
                line.rule x1=(px(left)) x2=(px(end_x)) y1=(y) y2=(y) {}
                text x=(px(left - 8.0)) y=(px(scales.y(qps) + 4.0)) text-anchor="end" { (shown(qps)) }
            }
            text.label x=(px((left + end_x) / 2.0)) y=(px(HEIGHT - 12.0)) text-anchor="middle" { (x_label) }
            text.label transform={ "translate(16 " (px((top + end_y) / 2.0)) ") rotate(-90)" } text-anchor="middle" {
                "queries a second"
            }
            @for (at, one) in series.iter().enumerate() {
                @let class = format!("series c{}", at % COLOURS);
                polyline class=(class) points=(front_line(one, &scales)) {}
                @for point in &one.points {
                    circle class={ (class) @if point.on_front { " front" } } r="4"
                        cx=(px(scales.x(point.recall))) cy=(px(scales.y(point.qps))) {
                        title { (point.label) }
                    }
                }
                @let y = end_y - 14.0 - LEGEND_LINE * (series.len() - 1 - at) as f64;
                circle class={ (class) " front" } r="4" cx=(px(left + 16.0)) cy=(px(y - 4.0)) {}
                text.label x=(px(left + 28.0)) y=(px(y)) { (one.name) }
            }
        }
    }
}

/// The points of the front in order of their recall.
fn front_line(series: &Series, scales: &Scales) -> String {
    let mut front: Vec<&PlotPoint> = series.points.iter().filter(|point| point.on_front).collect();
    front.sort_by(|a, b| a.recall.total_cmp(&b.recall));
    let place = |point: &&PlotPoint| format!("{},{}", px(scales.x(point.recall)), px(scales.y(point.qps)));
    front.iter().map(place).collect::<Vec<_>>().join(" ")
}

/// How figures become places.
struct Scales {
    /// Ends of the recalls, as the scale has them.
    recalls: [f64; 2],
    /// Decimal logarithms of the ends of the speeds.
    speeds: [f64; 2],
}

impl Scales {
    /// Scales from line to line, as tight as the points allow.
    fn of(series: &[Series]) -> Self {
        let points = || series.iter().flat_map(|series| &series.points);
        let least = points().map(|point| point.recall).fold(0.9, f64::min);
        let most = points().map(|point| point.recall).fold(0.99, f64::max);
        let below = RECALLS.iter().copied().rfind(|&recall| recall <= least).unwrap_or(0.0);
        let above = RECALLS.iter().copied().find(|&recall| recall >= most).unwrap_or(1.0);
        let (slowest, fastest) = points()
            .map(|point| point.qps.log10())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), log| (low.min(log), high.max(log)));
        let (low, high) = if slowest <= fastest { (slowest, fastest) } else { (0.0, 1.0) };
        let steps = Self::steps(low - 1.0, high + 1.0);
        let start = steps.iter().copied().rfind(|&step| step <= low).unwrap_or(low);
        let end = steps.iter().copied().find(|&step| step > high).unwrap_or(high);
        Self { recalls: [missed(below), missed(above)], speeds: [start, end] }
    }

    fn x(&self, recall: f64) -> f64 {
        let [left, _, right, _] = MARGINS;
        let [start, end] = self.recalls;
        left + (missed(recall) - start) / (end - start) * (WIDTH - left - right)
    }

    fn y(&self, qps: f64) -> f64 {
        let [_, top, _, bottom] = MARGINS;
        let [start, end] = self.speeds;
        HEIGHT - bottom - (qps.log10() - start) / (end - start) * (HEIGHT - top - bottom)
    }

    /// Recalls that have a line.
    fn recalls(&self) -> impl Iterator<Item = f64> {
        let [start, end] = self.recalls;
        RECALLS.into_iter().filter(move |&recall| (start..=end).contains(&missed(recall)))
    }

    /// Speeds that have a line.
    fn speeds(&self) -> impl Iterator<Item = f64> {
        let [start, end] = self.speeds;
        let steps = Self::steps(start, end);
        // Of many decades only the powers of ten.
        let whole_only = end - start > 3.0;
        steps
            .into_iter()
            .filter(move |&step| step >= start && step <= end && (!whole_only || step.fract() == 0.0))
            .map(|step| 10f64.powf(step))
    }

    /// Logarithms of 1, 2, 5, 10, 20, ... around a range.
    fn steps(start: f64, end: f64) -> Vec<f64> {
        let decades = start.floor() as i32..=end.ceil() as i32;
        decades.flat_map(|decade| [1.0f64, 2.0, 5.0].map(|step| f64::from(decade) + step.log10())).collect()
    }
}

/// Place of a recall on the scale: the negative decimal logarithm of what is missed.
fn missed(recall: f64) -> f64 {
    -(1.0 - recall).max(LEAST_MISSED).log10()
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// 1500 as `1.5k`.
fn shown(qps: f64) -> String {
    let (value, unit) = match qps {
        qps if qps >= 0.999e6 => (qps / 1e6, "M"),
        qps if qps >= 999.0 => (qps / 1e3, "k"),
        qps => (qps, ""),
    };
    // Powers of ten come out of a logarithm.
    format!("{}{unit}", (value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64, bool)]) -> Vec<Series> {
        let point = |&(recall, qps, on_front)| PlotPoint { recall, qps, label: "<b>".to_owned(), on_front };
        vec![Series { name: "a & b".to_owned(), points: points.iter().map(point).collect() }]
    }

    #[test]
    fn every_point_lies_inside_and_better_is_further_right_and_up() {
        let points = [
            (0.2, 90_000.0, true),
            (0.9, 5000.0, true),
            (0.99, 800.0, true),
            (0.9999999, 3.0, false),
            (1.0, 2.0, true),
        ];
        let scales = Scales::of(&series(&points));
        let places: Vec<(f64, f64)> = points.iter().map(|&(r, q, _)| (scales.x(r), scales.y(q))).collect();
        let [left, top, right, bottom] = MARGINS;
        for &(x, y) in &places {
            assert!(
                (left..=WIDTH - right).contains(&x) && (top..=HEIGHT - bottom).contains(&y),
                "{places:?}"
            );
        }
        assert!(places.is_sorted_by(|a, b| a.0 <= b.0 && a.1 < b.1), "{places:?}");
        // .9 to .99 is as wide as .99 to .999.
        assert!((scales.x(0.99) - scales.x(0.9) - (scales.x(0.999) - scales.x(0.99))).abs() < 1e-6);
    }

    #[test]
    fn names_are_text_and_only_the_front_is_joined() {
        let text =
            recall_plot(&series(&[(0.9, 100.0, true), (0.95, 10.0, false), (0.99, 50.0, true)]), "recall@10");
        let text = text.into_string();
        assert!(text.contains("a &amp; b") && text.contains("&lt;b&gt;") && !text.contains("<b>"), "{text}");
        let line = text.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.split(' ').count(), 2, "{line}");
        assert_eq!(text.matches(" front\"").count(), 3);
        assert!(text.contains("recall@10") && text.contains("queries a second"));
    }

    #[test]
    fn nothing_to_draw_is_still_a_plot() {
        assert!(recall_plot(&[], "recall@10").into_string().contains("</svg>"));
        assert!(!recall_plot(&series(&[(1.0, 7.0, true)]), "recall@10").into_string().contains("NaN"));
    }

    #[test]
    fn speeds_are_short() {
        assert_eq!([2.0, 999.9999999, 20_000.0, 1e6].map(shown), ["2", "1k", "20k", "1M"]);
    }
}
