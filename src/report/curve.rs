//! Figures between 0 and 1 against a level, as one SVG that is readable on light and dark ground: lines with the intervals of their
//! points.

use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 320.0;
/// Between the plot and the edges: left, top, right, bottom.
const MARGINS: [f64; 4] = [44.0, 34.0, 16.0, 48.0];
/// Width of a letter in the legend, about.
const LETTER: f64 = 6.6;
const STYLE: &str = include_str!("plot.css");
/// Colours that the style has.
const COLOURS: usize = 6;
/// Levels that may be written below the plot; of more, only some are.
const TICKS: usize = 12;

/// A line.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Its points in order of their levels.
    pub points: Vec<CurvePoint>,
}

/// A point of a line.
#[derive(Clone, Copy, Debug)]
pub struct CurvePoint {
    /// The level.
    pub x: f64,
    /// The figure, 0 to 1.
    pub y: f64,
    /// Where it may be as well.
    pub interval: Option<[f64; 2]>,
}

/// The drawing.
pub fn curve_plot(curves: &[Curve], x_label: &str) -> Markup {
    let mut levels: Vec<f64> = curves.iter().flat_map(|curve| &curve.points).map(|point| point.x).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let [left, top, right, bottom] = MARGINS;
    let (end_x, end_y) = (WIDTH - right, HEIGHT - bottom);
    let (first, last) =
        (levels.first().copied().unwrap_or_default(), levels.last().copied().unwrap_or_default());
    let span = if last > first { last - first } else { 1.0 };
    // Points keep off the axis.
    let place_x = |x: f64| left + 14.0 + (x - first) / span * (end_x - left - 28.0);
    let place_y = |y: f64| end_y - y.clamp(0.0, 1.0) * (end_y - top);
    let every = levels.len().div_ceil(TICKS).max(1);
    html! {
        svg.plot xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label(curves, x_label)) {
            style { (PreEscaped(STYLE)) }
            rect.ground width=(WIDTH) height=(HEIGHT) {}
            @for tenths in [0u32, 2, 4, 6, 8, 10] {
                @let (value, y) = (f64::from(tenths) / 10.0, place_y(f64::from(tenths) / 10.0));
                line.rule x1=(px(left)) x2=(px(end_x)) y1=(px(y)) y2=(px(y)) {}
                text x=(px(left - 8.0)) y=(px(y + 4.0)) text-anchor="end" { (value) }
            }
            @for level in levels.iter().step_by(every) {
                text x=(px(place_x(*level))) y=(px(end_y + 18.0)) text-anchor="middle" { (level) }
            }
            text.label x=(px((left + end_x) / 2.0)) y=(px(HEIGHT - 10.0)) text-anchor="middle" { (x_label) }
            @for (at, curve) in curves.iter().enumerate() {
                @let class = format!("series c{}", (at + 1) % COLOURS);
                @let line = curve.points.iter().map(|point| format!("{},{}", px(place_x(point.x)), px(place_y(point.y))));
                polyline class=(class) points=(line.collect::<Vec<_>>().join(" ")) {}
                @for point in &curve.points {
                    @let x = px(place_x(point.x));
                    @if let Some([low, high]) = point.interval {
                        line class=(class) x1=(x) x2=(x) y1=(px(place_y(low))) y2=(px(place_y(high))) {}
                    }
                    circle class={ (class) " front" } r="3" cx=(x) cy=(px(place_y(point.y))) {
                        title { (curve.name) " " (point.x) ": " (format!("{:.3}", point.y)) }
                    }
                }
                @let before: usize = curves[..at].iter().map(|curve| curve.name.chars().count()).sum();
                @let x = left + 4.0 + before as f64 * LETTER + at as f64 * 32.0;
                circle class={ (class) " front" } r="4" cx=(px(x)) cy="16" {}
                text.label x=(px(x + 10.0)) y="20" { (curve.name) }
            }
        }
    }
}

/// The drawing in words.
fn label(curves: &[Curve], x_label: &str) -> String {
    let names: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
    format!("{} against {x_label}", names.join(", "))
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_inside_and_names_are_text() {
        let points = [(1.0, 0.9, Some([0.8, 1.2])), (59.0, -0.1, None)];
        let points = points.map(|(x, y, interval)| CurvePoint { x, y, interval }).to_vec();
        let text = curve_plot(&[Curve { name: "a <b>".to_owned(), points }], "gap").into_string();
        assert!(text.contains("a &lt;b&gt;") && !text.contains("a <b>"), "{text}");
        for part in text.split("cy=\"").skip(1) {
            let y: f64 = part.split('"').next().unwrap().parse().unwrap();
            assert!((0.0..=HEIGHT).contains(&y), "{y}");
        }
        assert!(!curve_plot(&[], "gap").into_string().contains("NaN"));
        let one =
            Curve { name: "one".to_owned(), points: vec![CurvePoint { x: 3.0, y: 0.5, interval: None }] };
        assert!(!curve_plot(&[one], "level").into_string().contains("NaN"));
    }
}
