//! What is done to tiles before their patches are looked for, and where each point of a changed tile comes from. A kind of
//! change is an entry of `TRANSFORMATIONS`.

use crate::core::SplitMix64;
use crate::picture::Picture;

/// A kind of change, and how strong it is made.
pub struct Transformation {
    /// What metrics are called after.
    pub name: &'static str,
    /// From the weakest to the strongest, as far as strengths can be compared.
    pub levels: &'static [f64],
    /// The changed tile. Only noise draws from the random numbers.
    change: fn(&Picture, f64, &mut SplitMix64) -> Picture,
    /// Where the point of the changed tile that lies so far right of and below its centre comes from, likewise; in pixels.
    source: fn([f64; 2], f64) -> [f64; 2],
}

/// Every kind: shift to the right by so many pixels; box blur, noise, rotation and scale, as documented at each function.
pub const TRANSFORMATIONS: [Transformation; 5] = [
    Transformation {
        name: "shift",
        levels: &[1.0, 2.0, 3.0, 4.0],
        change: |tile, level, _| warp(tile, |point| shifted(point, level)),
        source: shifted,
    },
    Transformation { name: "blur", levels: &[2.0, 4.0, 6.0, 8.0], change: box_blur, source: in_place },
    Transformation { name: "noise", levels: &[10.0, 20.0, 30.0, 40.0], change: noise, source: in_place },
    Transformation {
        name: "rotation",
        levels: &[5.0, 10.0, 15.0, 20.0],
        change: |tile, level, _| warp(tile, |point| turned(point, level)),
        source: turned,
    },
    Transformation {
        name: "scale",
        levels: &[0.8, 0.9, 1.1, 1.2],
        change: |tile, level, _| warp(tile, |point| scaled(point, level)),
        source: scaled,
    },
];

/// One kind of change at one level.
#[derive(Clone, Copy)]
pub struct Condition {
    /// The kind.
    pub transformation: &'static Transformation,
    /// How strong.
    pub level: f64,
}

impl Condition {
    /// Every kind at every level.
    pub fn all() -> impl Iterator<Item = Self> {
        let at = |transformation: &'static Transformation| {
            transformation.levels.iter().map(move |&level| Self { transformation, level })
        };
        TRANSFORMATIONS.iter().flat_map(at)
    }

    /// `rotation.15`
    pub fn name(&self) -> String {
        format!("{}.{}", self.transformation.name, self.level)
    }

    /// Whether no level of its kind is stronger.
    pub fn is_strongest(&self) -> bool {
        self.transformation.levels.last() == Some(&self.level)
    }

    /// The changed tile; `seed` draws the noise.
    pub fn apply(&self, tile: &Picture, seed: u64) -> Picture {
        (self.transformation.change)(tile, self.level, &mut SplitMix64(seed))
    }

    /// Where a point of the changed tile comes from; `offset` is how far it lies right of and below the centre, in pixels.
    pub fn source(&self, offset: [f64; 2]) -> [f64; 2] {
        (self.transformation.source)(offset, self.level)
    }

    /// Where a point of the unchanged tile goes to: what the authors' notebooks take for where it comes from, when tiles are rotated.
    pub fn target(&self, offset: [f64; 2]) -> [f64; 2] {
        match self.transformation.name {
            "rotation" => turned(offset, -self.level),
            _ => self.source(offset),
        }
    }
}

fn in_place(offset: [f64; 2], _: f64) -> [f64; 2] {
    offset
}

fn shifted([x, y]: [f64; 2], by_px: f64) -> [f64; 2] {
    [x - by_px, y]
}

/// Of a tile turned counter-clockwise about its centre.
fn turned([x, y]: [f64; 2], degrees: f64) -> [f64; 2] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [cos * x - sin * y, sin * x + cos * y]
}

/// Of a tile enlarged about its centre.
fn scaled([x, y]: [f64; 2], factor: f64) -> [f64; 2] {
    [x / factor, y / factor]
}

/// Bilinear sampling at where each pixel's centre comes from; black where that is outside the tile.
fn warp(tile: &Picture, source: impl Fn([f64; 2]) -> [f64; 2]) -> Picture {
    let (width, height) = (tile.width as usize, tile.height as usize);
    let (middle_x, middle_y) = (width as f64 / 2.0, height as f64 / 2.0);
    let sample = |col: i64, row: i64, channel: usize| match (usize::try_from(col), usize::try_from(row)) {
        (Ok(col), Ok(row)) if col < width && row < height => {
            f64::from(tile.rgb[(row * width + col) * 3 + channel])
        }
        _ => 0.0,
    };
    let mut rgb = Vec::with_capacity(tile.rgb.len());
    for row in 0..height {
        for col in 0..width {
            let [x, y] = source([col as f64 + 0.5 - middle_x, row as f64 + 0.5 - middle_y]);
            let (x, y) = (x + middle_x - 0.5, y + middle_y - 0.5);
            let (left, top) = (x.floor(), y.floor());
            let (right_share, low_share) = (x - left, y - top);
            let (left, top) = (left as i64, top as i64);
            for channel in 0..3 {
                let line = |row: i64| {
                    let (near, far) = (sample(left, row, channel), sample(left + 1, row, channel));
                    near + right_share * (far - near)
                };
                let (upper, lower) = (line(top), line(top + 1));
                rgb.push((upper + low_share * (lower - upper)).round() as u8);
            }
        }
    }
    Picture { rgb, ..*tile }
}

/// The mean of a square of `side` pixels; of an even side, one more of them lies left of and above the pixel. Beyond its edges
/// the tile is mirrored without the edge itself (OpenCV's `blur`).
fn box_blur(tile: &Picture, side: f64, _: &mut SplitMix64) -> Picture {
    let (side, reach) = (side as i64, side as i64 / 2);
    let mirrored = |at: i64, length: i64| match length {
        1 => 0,
        _ => {
            let at = at.rem_euclid(2 * (length - 1));
            at.min(2 * (length - 1) - at)
        }
    };
    let (width, height) = (i64::from(tile.width), i64::from(tile.height));
    let sum_line = |get: &dyn Fn(i64) -> u32, at: i64, length: i64| -> u32 {
        (at - reach..at - reach + side).map(|at| get(mirrored(at, length))).sum()
    };
    // Sums over columns first, then over rows of those.
    let mut sums = Vec::with_capacity(tile.rgb.len());
    for row in 0..height {
        for col in 0..width {
            for channel in 0..3 {
                let get = |col: i64| u32::from(tile.rgb[((row * width + col) * 3 + channel) as usize]);
                sums.push(sum_line(&get, col, width));
            }
        }
    }
    let mut rgb = Vec::with_capacity(tile.rgb.len());
    for row in 0..height {
        for place in 0..width * 3 {
            let get = |row: i64| sums[(row * width * 3 + place) as usize];
            let mean = f64::from(sum_line(&get, row, height)) / (side * side) as f64;
            rgb.push(mean.round() as u8);
        }
    }
    Picture { rgb, ..*tile }
}

/// Gaussian noise of that standard deviation on 0 to 255, each channel on its own, rounded and clipped.
fn noise(tile: &Picture, deviation: f64, random: &mut SplitMix64) -> Picture {
    // Box and Muller, 1958: of each pair of uniform numbers one normal one.
    let mut normal =
        || (-2.0 * (1.0 - random.unit()).ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
    let rgb = tile.rgb.iter().map(|&v| (f64::from(v) + deviation * normal()).round().clamp(0.0, 255.0) as u8);
    Picture { rgb: rgb.collect(), ..*tile }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(side: u32, value: impl Fn(u32, u32) -> u8) -> Picture {
        let rgb = (0..side * side).flat_map(|at| [value(at % side, at / side); 3]).collect();
        Picture { width: side, height: side, rgb }
    }

    fn named(name: &str, level: f64) -> Condition {
        Condition::all().find(|one| one.name() == format!("{name}.{level}")).unwrap()
    }

    #[test]
    fn every_condition_has_a_name_of_its_own_and_keeps_the_size() {
        let names: std::collections::HashSet<String> = Condition::all().map(|one| one.name()).collect();
        assert_eq!(names.len(), 20);
        let tile = tile(28, |x, y| (x * 7 + y * 3) as u8);
        for condition in Condition::all() {
            let changed = condition.apply(&tile, 1);
            assert_eq!((changed.width, changed.height, changed.rgb.len()), (28, 28, tile.rgb.len()));
            assert_ne!(changed, tile, "{}", condition.name());
            assert_eq!(changed, condition.apply(&tile, 1), "{}", condition.name());
        }
    }

    #[test]
    fn a_point_comes_from_where_its_pixel_was_taken() {
        // A bright spot wanders to where its source is the spot's old place.
        let spot = [19.5 - 16.0, 9.5 - 16.0];
        let dot = tile(32, |x, y| if (18..=20).contains(&x) && (8..=10).contains(&y) { 255 } else { 0 });
        for condition in Condition::all().filter(|one| !["blur", "noise"].contains(&one.transformation.name))
        {
            let changed = condition.apply(&dot, 0);
            let weight = |at: usize| f64::from(changed.rgb[at * 3]);
            let total: f64 = (0..32 * 32).map(weight).sum();
            let mean = |of: fn(usize) -> f64| (0..32 * 32).map(|at| of(at) * weight(at)).sum::<f64>() / total;
            let centre = [mean(|at| (at % 32) as f64 + 0.5 - 16.0), mean(|at| (at / 32) as f64 + 0.5 - 16.0)];
            let source = condition.source(centre);
            for (found, wanted) in source.iter().zip(spot) {
                assert!((found - wanted).abs() < 0.1, "{}: {source:?} {spot:?}", condition.name());
            }
        }
    }

    #[test]
    fn a_blur_is_the_mean_of_a_square_that_reaches_further_left_and_up() {
        let tile = tile(8, |x, y| if (x, y) == (4, 4) { 200 } else { 0 });
        let blurred = named("blur", 2.0).apply(&tile, 0);
        let bright: Vec<usize> = (0..64).filter(|at| blurred.rgb[at * 3] > 0).collect();
        assert_eq!(bright, [4 * 8 + 4, 4 * 8 + 5, 5 * 8 + 4, 5 * 8 + 5]);
        assert!(bright.iter().all(|at| blurred.rgb[at * 3] == 50));
        // Mirrored without the edge: the corner's square of two is its pixel, the next ones, and the one across.
        let corner = named("blur", 2.0).apply(&super::tests::tile(8, |x, y| (x + 10 * y) as u8), 0);
        assert_eq!(corner.rgb[0], ((11 + 10 + 1) as f64 / 4.0).round() as u8);
    }

    #[test]
    fn noise_has_the_deviation_that_it_says() {
        let grey = tile(64, |_, _| 128);
        for level in [10.0, 20.0, 30.0] {
            let noisy = named("noise", level).apply(&grey, 5);
            let count = noisy.rgb.len() as f64;
            let mean = noisy.rgb.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
            let variance = noisy.rgb.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
            assert!((mean - 128.0).abs() < 1.0 && (variance.sqrt() / level - 1.0).abs() < 0.05, "{level}");
        }
        assert_ne!(named("noise", 10.0).apply(&grey, 5), named("noise", 10.0).apply(&grey, 6));
    }
}
