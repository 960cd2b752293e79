//! The orientation tag: where each container keeps it, and which turn it asks for.

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};

use super::png;

/// The turn that makes the picture upright; none where there is no readable tag.
pub(super) fn orientation(decoder: &mut impl ImageDecoder, format: ImageFormat, bytes: &[u8]) -> Orientation {
    if format == ImageFormat::Tiff {
        return decoder.orientation().unwrap_or(Orientation::NoTransforms);
    }
    let early = decoder.exif_metadata().ok().flatten();
    let chunk = match (&early, format) {
        (Some(chunk), _) => Some(chunk.as_slice()),
        (None, ImageFormat::Png) => png::chunk(bytes, b"eXIf"),
        (None, _) => None,
    };
    let chunk = chunk.map(|c| c.strip_prefix(b"Exif\0\0").unwrap_or(c));
    chunk.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// Whether the turn exchanges width and height.
pub(super) fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}
