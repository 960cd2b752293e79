//! From the bytes of a file to an upright picture, within limits that are checked before pixels are allocated.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use super::jpeg::{self, Depth};
use super::{Limits, Picture, PictureError, exif, format, pixels, png};

/// What a file says of itself before its pixels are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width of the upright picture, in pixels.
    pub width: u32,
    /// Height of the upright picture, in pixels.
    pub height: u32,
    /// `JPEG`, `PNG`, `WebP`, `TIFF`, `BMP` or `GIF`.
    pub format: &'static str,
    /// Estimate of the most memory that decoding holds at once, in bytes; the file's own bytes are not counted.
    pub decode_bytes: u64,
}

/// Room for what stands beside the pixels: profiles, text, tables, row buffers.
const SIDE_BYTES: u64 = 64 << 20;

/// The most that a decoder may hold per pixel: two buffers of four 16-bit channels.
const CODEC_BYTES_PER_PIXEL: u64 = 16;

/// Size, format and cost of a picture, from its header.
///
/// # Errors
/// As [`decode`], except for faults that only the pixel data show.
pub fn header(bytes: &[u8], limits: &Limits) -> Result<Header, PictureError> {
    let format = sniff_within(bytes, limits)?;
    guarded(format.1, || Ok(open(bytes, format, limits)?.1.header()))
}

/// The upright picture in `bytes`: orientation tag applied, alpha over white, 16 bits and grey to RGB8, the first
/// frame of an animation.
///
/// # Errors
/// Empty, not an image, unsupported, too large, cut short, broken: see [`PictureError`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let format = sniff_within(bytes, limits)?;
    guarded(format.1, || {
        let (decoder, facts) = open(bytes, format, limits)?;
        if let Some(missing) = format::missing_end(bytes, format.0) {
            return Err(PictureError::Truncated { format: facts.format, detail: missing.to_owned() });
        }
        let image = DynamicImage::from_decoder(decoder)
            .map_err(|e| PictureError::from_codec(e, facts.format, (facts.width, facts.height)))?;
        upright(image, facts.orientation)
    })
}

/// What the header tells, sides as stored.
struct Facts {
    width: u32,
    height: u32,
    format: &'static str,
    orientation: Orientation,
    color: ColorType,
    /// Memory of the decoder beside the samples it delivers, per pixel.
    extra_per_pixel: u64,
    input_copy_bytes: u64,
}

impl Facts {
    fn header(&self) -> Header {
        let swap = exif::swaps_sides(self.orientation);
        let (width, height) = if swap { (self.height, self.width) } else { (self.width, self.height) };
        Header { width, height, format: self.format, decode_bytes: self.decode_bytes() }
    }

    /// The largest of three moments: decoding, converting to RGB8, turning.
    fn decode_bytes(&self) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let native = u64::from(self.color.bytes_per_pixel());
        let converting = if self.color == ColorType::Rgb8 { 3 } else { native + 3 };
        let turning = if exif::swaps_sides(self.orientation) { 6 } else { 3 };
        let decoding = pixels * (native + self.extra_per_pixel) + self.input_copy_bytes;
        decoding.max(pixels * converting).max(pixels * turning)
    }
}

fn sniff_within(bytes: &[u8], limits: &Limits) -> Result<(ImageFormat, &'static str), PictureError> {
    let length = bytes.len() as u64;
    if length > limits.max_file_bytes {
        return Err(PictureError::FileTooLarge { bytes: length, max_file_bytes: limits.max_file_bytes });
    }
    format::sniff(bytes)
}

/// Reads the header, checks it against the limits and leaves a decoder that has allocated no pixels.
fn open<'a>(
    bytes: &'a [u8],
    (format, name): (ImageFormat, &'static str),
    limits: &Limits,
) -> Result<(impl ImageDecoder + 'a, Facts), PictureError> {
    if format == ImageFormat::Png {
        // The PNG decoder allocates row buffers as it opens.
        if let Some((width, height)) = png::size(bytes) {
            check_size(width, height, name, limits)?;
        }
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(SIDE_BYTES);
    reader.limits(allowed.clone());
    let mut decoder = reader.into_decoder().map_err(|e| PictureError::from_codec(e, name, (0, 0)))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, name, limits)?;
    if format != ImageFormat::Png {
        allowed.max_alloc = Some(u64::from(width) * u64::from(height) * CODEC_BYTES_PER_PIXEL + SIDE_BYTES);
        decoder.set_limits(allowed).map_err(|e| PictureError::from_codec(e, name, (width, height)))?;
    }
    let color = decoder.color_type();
    if !pixels::is_integer(color) {
        return Err(PictureError::Unsupported { what: format!("{name} with floating-point samples") });
    }
    let orientation = exif::orientation(&mut decoder, format, bytes);
    let extra_per_pixel = extra_per_pixel(format, bytes, color);
    let input_copy_bytes = if format == ImageFormat::Jpeg { bytes.len() as u64 } else { 0 };
    let facts = Facts { width, height, format: name, orientation, color, extra_per_pixel, input_copy_bytes };
    Ok((decoder, facts))
}

/// Bytes per pixel that decoders hold beside their output.
fn extra_per_pixel(format: ImageFormat, bytes: &[u8], color: ColorType) -> u64 {
    match format {
        ImageFormat::Jpeg => {
            let markers = jpeg::markers(bytes, Depth::Headers);
            if markers.several_scans { 2 * u64::from(markers.components.clamp(1, 4)) } else { 0 }
        }
        ImageFormat::WebP | ImageFormat::Gif => 4,
        // Delivered through a buffer of its own; CMYK has one channel more than the RGB it becomes.
        ImageFormat::Tiff => u64::from(color.bytes_per_pixel()) * 4 / 3 + 1,
        _ => 0,
    }
}

fn check_size(width: u32, height: u32, format: &'static str, limits: &Limits) -> Result<(), PictureError> {
    let Limits { max_side_px, max_pixels, .. } = *limits;
    if width == 0 || height == 0 {
        let detail = format!("a size of {width}x{height} pixels");
        return Err(PictureError::Broken { format, detail });
    }
    if width.max(height) > max_side_px || u64::from(width) * u64::from(height) > max_pixels {
        return Err(PictureError::TooLarge { width, height, max_side_px, max_pixels });
    }
    Ok(())
}

fn upright(image: DynamicImage, orientation: Orientation) -> Result<Picture, PictureError> {
    let (width, height) = (image.width(), image.height());
    let rgb = pixels::to_rgb8(image).ok_or_else(|| PictureError::Unsupported {
        what: "an image with floating-point samples".to_owned(),
    })?;
    let rgb = RgbImage::from_raw(width, height, rgb).expect("invariant: three samples per pixel");
    let mut image = DynamicImage::ImageRgb8(rgb);
    image.apply_orientation(orientation);
    Ok(Picture { width: image.width(), height: image.height(), rgb: image.into_rgb8().into_raw() })
}

/// A decoder that panics on a malformed file costs that file, not the run.
fn guarded<T>(
    format: &'static str,
    work: impl FnOnce() -> Result<T, PictureError>,
) -> Result<T, PictureError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(PictureError::Broken { format, detail: "the decoder gave up on it".to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_png_counts_conversion_and_turning() {
        let one = Picture { width: 2, height: 3, rgb: vec![7; 18] };
        let head = header(&one.to_png(), &Limits::default()).unwrap();
        assert_eq!((head.width, head.height, head.format, head.decode_bytes), (2, 3, "PNG", 18));
        assert_eq!(decode(&one.to_png(), &Limits::default()).unwrap(), one);
    }

    #[test]
    fn a_file_over_the_limit_is_not_looked_at() {
        let limits = Limits { max_file_bytes: 3, ..Limits::default() };
        assert!(matches!(decode(b"text", &limits), Err(PictureError::FileTooLarge { bytes: 4, .. })));
    }
}
