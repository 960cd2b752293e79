//! Why bytes do not become a picture. The caller adds the path; the messages say what is wrong and what to do.

use image::ImageError;
use image::error::{UnsupportedError, UnsupportedErrorKind};

use crate::core::{Fault, Kind};

/// Why bytes do not become a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// Zero bytes.
    #[error("the file is empty (0 bytes): copy it again or remove it")]
    Empty,
    /// The first bytes belong to no image format.
    #[error(
        "not an image: it begins with {start}, which no known image format does; give a JPEG, PNG, WebP, \
         TIFF, BMP or GIF file"
    )]
    NotAnImage {
        /// The first bytes, as text where they are text, else in hexadecimal.
        start: String,
    },
    /// An image of a kind that is not read.
    #[error("{what} is not supported: convert it to an 8-bit JPEG, PNG or WebP")]
    Unsupported {
        /// Format or feature.
        what: String,
    },
    /// A file that is no label map.
    #[error(
        "this is {found}; a label map is a PNG whose grey levels or palette entries are the numbers of classes"
    )]
    NoLabelMap {
        /// What it is.
        found: &'static str,
    },
    /// The data end too early.
    #[error("{format} data end too early ({detail}): the file is cut short, copy it again")]
    Truncated {
        /// Name of the format.
        format: &'static str,
        /// Where or how it was noticed.
        detail: String,
    },
    /// The data contradict the format.
    #[error("{format} data are broken ({detail}): copy the file again or save it anew from an image editor")]
    Broken {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// More pixels than the limits allow.
    #[error(
        "{width}x{height} pixels are too many (limits: {max_side_px} a side, {max_pixels} in all): \
         shrink the image, or index with a higher --max-pixels"
    )]
    TooLarge {
        /// Width in pixels that the header claims.
        width: u32,
        /// Height in pixels that the header claims.
        height: u32,
        /// Limit on a side, in pixels.
        max_side_px: u32,
        /// Limit on width × height.
        max_pixels: u64,
    },
    /// More bytes than the limits allow.
    #[error("the file has {bytes} bytes, the limit is {max_file_bytes}: shrink the image")]
    FileTooLarge {
        /// Length of the file.
        bytes: u64,
        /// Limit on it.
        max_file_bytes: u64,
    },
    /// Decoding asks for far more memory than the picture's size explains.
    #[error(
        "decoding this {format} takes more memory than its {width}x{height} pixels explain: save it anew"
    )]
    TooMuchMemory {
        /// Name of the format.
        format: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
}

impl PictureError {
    /// One stable word for lists of rejects: `empty`, `not_an_image`, `unsupported`, `truncated`, `broken`,
    /// `too_large`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NotAnImage { .. } => "not_an_image",
            Self::Unsupported { .. } | Self::NoLabelMap { .. } => "unsupported",
            Self::Truncated { .. } => "truncated",
            Self::Broken { .. } => "broken",
            Self::TooLarge { .. } | Self::FileTooLarge { .. } | Self::TooMuchMemory { .. } => "too_large",
        }
    }

    /// What a codec's error means, for a picture of `size` pixels (width, height; zeros while unknown).
    pub(super) fn from_codec(error: ImageError, format: &'static str, size: (u32, u32)) -> Self {
        match error {
            ImageError::Unsupported(cause) => Self::Unsupported { what: unsupported(&cause, format) },
            ImageError::Limits(_) => Self::TooMuchMemory { format, width: size.0, height: size.1 },
            cause if ends_early(&cause) => Self::Truncated { format, detail: innermost(&cause) },
            cause => Self::Broken { format, detail: innermost(&cause) },
        }
    }
}

impl Fault for PictureError {
    fn kind(&self) -> Kind {
        match self {
            Self::Empty | Self::Truncated { .. } | Self::Broken { .. } => Kind::Corrupt,
            _ => Kind::Invalid,
        }
    }
}

fn unsupported(cause: &UnsupportedError, format: &str) -> String {
    match cause.kind() {
        UnsupportedErrorKind::Color(color) => format!("{format} of this colour type ({color:?})"),
        UnsupportedErrorKind::GenericFeature(feature) => format!("{format} with this feature ({feature})"),
        _ => format!("this kind of {format}"),
    }
}

fn chain<'a>(error: &'a ImageError) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    let first: &'a (dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |e| e.source())
}

/// Codecs tell the end of data as an `UnexpectedEof` somewhere in the chain, or only in words.
fn ends_early(error: &ImageError) -> bool {
    chain(error).any(|e| match e.downcast_ref::<std::io::Error>() {
        Some(io) => io.kind() == std::io::ErrorKind::UnexpectedEof,
        None => {
            let text = e.to_string().to_lowercase();
            ["unexpected eof", "end of file", "no more bytes", "not enough bytes"]
                .iter()
                .any(|words| text.contains(words))
        }
    })
}

fn innermost(error: &ImageError) -> String {
    chain(error).last().map(|e| e.to_string().trim().to_owned()).unwrap_or_default()
}
