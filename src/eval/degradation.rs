//! What is done to validation images of the robustness protocol: box blur and noise as of `transformation`, and noise of four bands
//! of frequencies.

use super::transformation::Condition;
use crate::core::SplitMix64;
use crate::picture::Picture;

/// Waves that a band's noise is the sum of.
const WAVES: usize = 64;
/// Standard deviation of a band's noise, on 0 to 255.
const DEVIATION: f64 = 30.0;
/// Edges of the bands, in cycles a pixel; 0.5 is the most that pixels show.
const EDGES: [f64; 5] = [0.0, 0.0625, 0.125, 0.25, 0.5];

/// One degradation at one level.
#[derive(Clone, Copy)]
pub enum Degradation {
    /// A blur or noise.
    Change(Condition),
    /// Noise of a band of frequencies, 1 the lowest to 4.
    Band(usize),
}

impl Degradation {
    /// All: blur, noise, bands.
    pub fn all() -> impl Iterator<Item = Self> {
        let change = |name: &'static str| {
            Condition::all().filter(move |condition| condition.transformation.name == name).map(Self::Change)
        };
        change("blur").chain(change("noise")).chain((1..EDGES.len()).map(Self::Band))
    }

    /// `blur.2`, `noise.10`, `band.1`
    pub fn name(&self) -> String {
        match self {
            Self::Change(condition) => condition.name(),
            Self::Band(band) => format!("band.{band}"),
        }
    }

    /// The degraded picture; `seed` draws the noise.
    pub fn apply(&self, picture: &Picture, seed: u64) -> Picture {
        match *self {
            Self::Change(condition) => condition.apply(picture, seed),
            Self::Band(band) => band_noise(picture, EDGES[band - 1], EDGES[band], seed),
        }
    }
}

/// The sum of waves of random directions and phases whose frequencies lie between two, evenly by area; the same in all channels.
fn band_noise(picture: &Picture, from: f64, to: f64, seed: u64) -> Picture {
    let mut random = SplitMix64(seed);
    let mut uniform = || random.unit();
    let waves: Vec<[f64; 3]> = (0..WAVES)
        .map(|_| {
            let frequency =
                (from * from + uniform() * (to * to - from * from)).sqrt() * std::f64::consts::TAU;
            let (sin, cos) = (uniform() * std::f64::consts::TAU).sin_cos();
            [frequency * cos, frequency * sin, uniform() * std::f64::consts::TAU]
        })
        .collect();
    // A wave of height 1 has the variance 1/2.
    let height = DEVIATION * (2.0 / WAVES as f64).sqrt();
    let width = picture.width as usize;
    let level = |at: usize| {
        let (x, y) = ((at % width) as f64, (at / width) as f64);
        height * waves.iter().map(|[across, down, phase]| (across * x + down * y + phase).cos()).sum::<f64>()
    };
    let add = |(at, rgb): (usize, &[u8])| {
        let noise = level(at);
        [0, 1, 2].map(|channel| (f64::from(rgb[channel]) + noise).round().clamp(0.0, 255.0) as u8)
    };
    Picture { rgb: picture.rgb.chunks_exact(3).enumerate().flat_map(add).collect(), ..*picture }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_have_names_the_deviation_and_their_own_frequencies() {
        let names: Vec<String> = Degradation::all().map(|one| one.name()).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(
            (names[0].as_str(), names[4].as_str(), names[11].as_str()),
            ("blur.2", "noise.10", "band.4")
        );
        let grey = Picture { width: 96, height: 96, rgb: vec![128; 96 * 96 * 3] };
        let mut rough = Vec::new();
        for band in 1..=4 {
            let noisy = Degradation::Band(band).apply(&grey, 7);
            let values: Vec<f64> = noisy.rgb.iter().step_by(3).map(|&v| f64::from(v) - 128.0).collect();
            let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            assert!((variance.sqrt() / DEVIATION - 1.0).abs() < 0.25, "{band}: {variance}");
            // Higher frequencies differ more from pixel to pixel.
            rough.push(values.windows(2).map(|pair| (pair[0] - pair[1]).powi(2)).sum::<f64>() / variance);
            assert_eq!(noisy, Degradation::Band(band).apply(&grey, 7));
        }
        assert!(rough.is_sorted_by(|a, b| a < b), "{rough:?}");
    }
}
