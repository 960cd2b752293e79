//! From a picture to the numbers a model takes: cropped, resampled to 8 bits, rescaled, normalised, channel by channel.
//!
//! The order of steps and roundings is that of Hugging Face's image processors over Pillow.

use super::spec::{Crop, ImageSpec, Resize};
use crate::core::Bbox;
use crate::picture::Picture;

/// The part of `picture` in `area` (its pixels) as `3 * height * width` numbers: all red samples row by row, then
/// green, then blue. Resampled to `width`×`height` with the specification's filter; its resize rule and crop are not
/// used.
pub fn tensor(picture: &Picture, area: Bbox, width: u32, height: u32, image: &ImageSpec) -> Vec<f32> {
    channels(&picture.resize(area, width, height, image.filter), image)
}

/// Width, height and the `3 * height * width` numbers that Hugging Face's processor gives for the whole picture, with
/// its resize rule and centre crop.
pub fn processor_tensor(picture: &Picture, image: &ImageSpec) -> (u32, u32, Vec<f32>) {
    let (width, height) = processor_size(picture.width, picture.height, image.resize);
    let whole = Bbox::of_image(picture.width, picture.height);
    let resized = picture.resize(whole, width, height, image.filter);
    let seen = match image.crop {
        Some(crop) => center_crop(&resized, crop),
        None => resized,
    };
    (seen.width, seen.height, channels(&seen, image))
}

/// Size in pixels that the resize rule gives a picture of `width`×`height`.
pub fn processor_size(width: u32, height: u32, rule: Resize) -> (u32, u32) {
    let scaled = |side: u32, from: u32, to: u32| {
        let long = u64::from(side) * u64::from(to) / u64::from(from.max(1));
        u32::try_from(long).unwrap_or(u32::MAX).max(1)
    };
    match rule {
        Resize::Keep => (width, height),
        Resize::Exact { width, height } => (width, height),
        Resize::ShortestEdge(side) if width <= height => (side, scaled(height, width, side)),
        Resize::ShortestEdge(side) => (scaled(width, height, side), side),
        Resize::LongestEdge(side) if width >= height => (side, scaled(height, width, side)),
        Resize::LongestEdge(side) => (scaled(width, height, side), side),
    }
}

/// The middle of a picture, on black where it is smaller than the crop (as `transformers.center_crop`).
fn center_crop(picture: &Picture, crop: Crop) -> Picture {
    let mut rgb = vec![0; crop.width as usize * crop.height as usize * 3];
    let (from_x, to_x, columns) = centered(picture.width, crop.width);
    let (from_y, to_y, rows) = centered(picture.height, crop.height);
    for row in 0..rows {
        let source = ((from_y + row) * picture.width as usize + from_x) * 3;
        let target = ((to_y + row) * crop.width as usize + to_x) * 3;
        rgb[target..target + columns * 3].copy_from_slice(&picture.rgb[source..source + columns * 3]);
    }
    Picture { width: crop.width, height: crop.height, rgb }
}

/// Where reading starts, where writing starts, how much is copied.
fn centered(side: u32, crop: u32) -> (usize, usize, usize) {
    let (side, crop) = (side as usize, crop as usize);
    if side >= crop { ((side - crop) / 2, 0, crop) } else { (0, (crop - side).div_ceil(2), side) }
}

/// Rescaled and normalised samples, one plane per channel.
fn channels(picture: &Picture, image: &ImageSpec) -> Vec<f32> {
    let plane = picture.width as usize * picture.height as usize;
    let mut numbers = Vec::with_capacity(plane * 3);
    for channel in 0..3 {
        let levels = levels(image, channel);
        numbers.extend(picture.rgb.iter().skip(channel).step_by(3).map(|&v| levels[usize::from(v)]));
    }
    numbers
}

/// The model's number for each of the 256 levels of one channel.
fn levels(image: &ImageSpec, channel: usize) -> [f32; 256] {
    std::array::from_fn(|level| {
        let mut value = level as f32;
        if image.do_rescale {
            value *= image.rescale_factor;
        }
        if image.do_normalize {
            value = (value - image.mean[channel]) / image.std[channel];
        }
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Filter, Limits, decode};

    fn plain() -> ImageSpec {
        ImageSpec {
            resize: Resize::Keep,
            crop: None,
            filter: Filter::Bicubic,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            mean: [0.5, 0.25, 0.0],
            std: [0.5, 0.25, 1.0],
        }
    }

    #[test]
    fn planes_are_red_green_blue() {
        let picture = Picture { width: 2, height: 1, rgb: vec![255, 0, 51, 0, 255, 102] };
        let numbers = tensor(&picture, Bbox::of_image(2, 1), 2, 1, &plain());
        let wanted = [1.0, -1.0, -1.0, 3.0, 0.2, 0.4];
        assert!(numbers.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{numbers:?}");
    }

    #[test]
    fn sizes_follow_the_rules() {
        for (rule, size) in [
            (Resize::Keep, (61, 47)),
            (Resize::ShortestEdge(28), (36, 28)),
            (Resize::LongestEdge(28), (28, 21)),
            (Resize::Exact { width: 5, height: 6 }, (5, 6)),
        ] {
            assert_eq!(processor_size(61, 47, rule), size);
        }
        assert_eq!(processor_size(10_000, 1, Resize::LongestEdge(28)), (28, 1));
        assert_eq!(processor_size(47, 61, Resize::ShortestEdge(28)), (28, 36));
    }

    #[test]
    fn the_processor_agrees_with_pillow() {
        let fixture = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
            decode(&std::fs::read(format!("{folder}{name}")).unwrap(), &Limits::default()).unwrap()
        };
        let spec = ImageSpec {
            resize: Resize::ShortestEdge(28),
            crop: Some(Crop { width: 20, height: 20 }),
            ..plain()
        };
        let (width, height, numbers) = processor_tensor(&fixture("source.png"), &spec);
        assert_eq!((width, height), (20, 20));
        let wanted = channels(&fixture("processor.png"), &spec);
        let level = 1.01 / 255.0 / 0.25;
        assert!(numbers.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= level));
        let off: usize = numbers.iter().zip(&wanted).filter(|(a, b)| a != b).count();
        assert!(off * 20 < numbers.len(), "{off} of {} differ", numbers.len());
    }

    #[test]
    fn a_picture_smaller_than_the_crop_lies_on_black() {
        let picture = Picture { width: 1, height: 1, rgb: vec![9, 9, 9] };
        let cropped = center_crop(&picture, Crop { width: 3, height: 4 });
        let places: Vec<usize> =
            cropped.rgb.iter().enumerate().filter(|(_, v)| **v == 9).map(|(i, _)| i).collect();
        assert_eq!(places, [21, 22, 23]);
    }
}
