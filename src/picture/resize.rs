//! Crop and resample in one step, by Pillow's filters and with its meaning of a fractional box.
//!
//! `fast_image_resize` does the convolutions; its coefficients have fewer bits than Pillow's, so that a sample in a few
//! hundred differs by one level.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::Picture;
use crate::core::Bbox;

/// Resampling filters, by Pillow's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The pixel under the sample point.
    Nearest,
    /// Mean of the covered pixels.
    Box,
    /// Triangle.
    Bilinear,
    /// Hamming-windowed sinc of one lobe.
    Hamming,
    /// Cubic with a = -0.5 (Catmull-Rom).
    Bicubic,
    /// Sinc of three lobes.
    Lanczos,
}

impl Filter {
    /// The filter of a number as Pillow and Hugging Face configurations write it (`"resample": 3`).
    pub fn from_pillow(id: u32) -> Option<Filter> {
        Some(match id {
            0 => Filter::Nearest,
            1 => Filter::Lanczos,
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            4 => Filter::Box,
            5 => Filter::Hamming,
            _ => return None,
        })
    }

    fn convolution(self) -> Option<FilterType> {
        match self {
            Filter::Nearest => None,
            Filter::Box => Some(FilterType::Box),
            Filter::Bilinear => Some(FilterType::Bilinear),
            Filter::Hamming => Some(FilterType::Hamming),
            Filter::Bicubic => Some(FilterType::CatmullRom),
            Filter::Lanczos => Some(FilterType::Lanczos3),
        }
    }
}

/// A crop box inside a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

impl Picture {
    /// The part in `area`, resampled to `width`×`height` pixels, as Pillow's `Image.resize(size, filter, box=area)`:
    /// the filter reads beyond the area where the picture goes on there.
    ///
    /// `area` is clipped to the picture; what is then empty or not finite becomes the nearest pixel or the whole.
    /// Sides of 0 are taken as 1.
    pub fn resize(&self, area: Bbox, width: u32, height: u32, filter: Filter) -> Picture {
        let (width, height) = (width.max(1), height.max(1));
        let area = clip(area, self.width, self.height);
        let rgb = match filter.convolution() {
            None => self.pick(area, width, height),
            Some(kernel) => self.convolve(area, width, height, kernel),
        };
        Picture { width, height, rgb }
    }

    fn pick(&self, area: Area, width: u32, height: u32) -> Vec<u8> {
        let columns = sample_points(area.x, area.w, width, self.width);
        let rows = sample_points(area.y, area.h, height, self.height);
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for row in rows {
            for &column in &columns {
                let at = (row * self.width as usize + column) * 3;
                rgb.extend_from_slice(&self.rgb[at..at + 3]);
            }
        }
        rgb
    }

    /// Columns first, then rows, as Pillow does: between the two passes samples are rounded to 8 bits.
    fn convolve(&self, area: Area, width: u32, height: u32, kernel: FilterType) -> Vec<u8> {
        let (top, bottom) = self.rows_read(area, height, kernel);
        let row_bytes = self.width as usize * 3;
        let rows = &self.rgb[top as usize * row_bytes..bottom as usize * row_bytes];
        let band = bottom - top;
        let across = Area { y: 0.0, h: f64::from(band), ..area };
        let narrow = resample(rows, (self.width, band), across, (width, band), kernel);
        let down = Area { x: 0.0, w: f64::from(width), y: area.y - f64::from(top), h: area.h };
        resample(&narrow, (width, band), down, (width, height), kernel)
    }

    /// First row, and the one behind the last, that the filter can reach.
    fn rows_read(&self, area: Area, height: u32, kernel: FilterType) -> (u32, u32) {
        let reach = support(kernel) * (area.h / f64::from(height)).max(1.0) + 2.0;
        let top = (area.y - reach).floor().max(0.0) as u32;
        let bottom = (area.y + area.h + reach).ceil().min(f64::from(self.height)) as u32;
        (top, bottom)
    }
}

/// Half the width of a filter, in output pixels.
fn support(kernel: FilterType) -> f64 {
    match kernel {
        FilterType::Box => 0.5,
        FilterType::Bilinear | FilterType::Hamming => 1.0,
        FilterType::CatmullRom => 2.0,
        _ => 3.0,
    }
}

/// One call of the library; sizes are width and height.
fn resample(rgb: &[u8], from: (u32, u32), area: Area, to: (u32, u32), kernel: FilterType) -> Vec<u8> {
    let source =
        ImageRef::new(from.0, from.1, rgb, PixelType::U8x3).expect("invariant: three samples per pixel");
    let mut target = Image::new(to.0, to.1, PixelType::U8x3);
    let algorithm = ResizeAlg::Convolution(kernel);
    let options = ResizeOptions::new().resize_alg(algorithm).crop(area.x, area.y, area.w, area.h);
    Resizer::new()
        .resize(&source, &mut target, &options)
        .expect("invariant: the area lies inside the picture");
    target.into_vec()
}

/// The source index under the centre of each of `count` samples.
fn sample_points(start: f64, length: f64, count: u32, side: u32) -> Vec<usize> {
    let step = length / f64::from(count);
    let last = side as usize - 1;
    (0..count).map(|i| ((start + (f64::from(i) + 0.5) * step) as usize).min(last)).collect()
}

fn clip(area: Bbox, width: u32, height: u32) -> Area {
    let (x, w) = clip_span(area.x, area.w, width);
    let (y, h) = clip_span(area.y, area.h, height);
    Area { x, y, w, h }
}

/// Start and length inside `0..side`.
fn clip_span(start: f32, length: f32, side: u32) -> (f64, f64) {
    let (start, length, side) = (f64::from(start), f64::from(length), f64::from(side));
    if !(start.is_finite() && length.is_finite()) {
        return (0.0, side);
    }
    let (from, to) = (start.clamp(0.0, side), (start + length).clamp(0.0, side));
    if to > from {
        return (from, to - from);
    }
    (from.floor().min(side - 1.0), 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_clipped_to_the_picture() {
        assert_eq!(clip_span(-5.0, 8.0, 10), (0.0, 3.0));
        assert_eq!(clip_span(2.5, 100.0, 10), (2.5, 7.5));
        assert_eq!(clip_span(40.0, 3.0, 10), (9.0, 1.0));
        assert_eq!(clip_span(4.2, 0.0, 10), (4.0, 1.0));
        assert_eq!(clip_span(f32::NAN, 1.0, 10), (0.0, 10.0));
    }

    #[test]
    fn ids_are_pillows() {
        let all = [0, 1, 2, 3, 4, 5].map(|id| Filter::from_pillow(id).unwrap());
        use Filter::{Bicubic, Bilinear, Box, Hamming, Lanczos, Nearest};
        assert_eq!(all, [Nearest, Lanczos, Bilinear, Bicubic, Box, Hamming]);
        assert_eq!(Filter::from_pillow(6), None);
    }
}
