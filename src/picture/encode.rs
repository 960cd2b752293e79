//! A picture as JPEG or PNG bytes, for pages and reports.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::{Filter, Picture};
use crate::core::Bbox;

/// The longest side a JPEG header can say.
const JPEG_SIDE_PX: u32 = 65_535;

impl Picture {
    /// JPEG bytes; `quality` from 1 to 100. A side of more than 65,535 pixels is shrunk to that.
    pub fn to_jpeg(&self, quality: u8) -> Vec<u8> {
        if self.width.max(self.height) > JPEG_SIDE_PX {
            let whole = Bbox::of_image(self.width, self.height);
            let (width, height) = (self.width.min(JPEG_SIDE_PX), self.height.min(JPEG_SIDE_PX));
            return self.resize(whole, width, height, Filter::Box).to_jpeg(quality);
        }
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .expect("invariant: three samples per pixel, written to memory");
        bytes
    }

    /// PNG bytes, without loss.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .expect("invariant: three samples per pixel, written to memory");
        bytes
    }
}
