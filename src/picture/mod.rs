//! Pictures: bytes of an image file in, upright RGB8 pixels out, and from there crops, resizes and encodings.
//!
//! Relies on the `image` crate for the codecs and on `fast_image_resize` for resampling. Knows no files, models or
//! patches: callers read the bytes, and add the path to what goes wrong.

mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod jpeg;
mod labels;
mod pixels;
mod png;
mod pose;
mod resize;

pub use decode::{Header, decode, header};
pub use error::PictureError;
pub use labels::LabelMap;
pub use resize::Filter;

use crate::core::Mask;

/// What decoding may take on. Checked against a file's header, before its pixels are allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest side, in pixels.
    pub max_side_px: u32,
    /// Width × height.
    pub max_pixels: u64,
    /// Length of the file, in bytes.
    pub max_file_bytes: u64,
}

impl Default for Limits {
    /// 65,535 pixels a side (what a JPEG can say), 268 megapixels, 1 GiB of file.
    fn default() -> Self {
        Self { max_side_px: 65_535, max_pixels: 1 << 28, max_file_bytes: 1 << 30 }
    }
}

/// An upright picture: RGB8, row by row from the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// The pixels that are bright.
    pub fn mask(&self) -> Mask {
        let is_bright = |rgb: &[u8]| rgb.iter().map(|&value| u32::from(value)).sum::<u32>() > 3 * 127;
        Mask::new(self.width, self.rgb.chunks_exact(3).map(is_bright).collect())
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{}, {} bytes)", self.width, self.height, self.rgb.len())
    }
}
