//! Which format bytes are in, told from their first bytes alone; names the formats that are known but not read.

use image::ImageFormat;

use super::{PictureError, jpeg, png};

/// The format of `bytes` and its name.
pub(super) fn sniff(bytes: &[u8]) -> Result<(ImageFormat, &'static str), PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if let Some(what) = unread(bytes) {
        return Err(PictureError::Unsupported { what: what.to_owned() });
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok((ImageFormat::Jpeg, "JPEG")),
        Ok(ImageFormat::Png) => Ok((ImageFormat::Png, "PNG")),
        Ok(ImageFormat::WebP) => Ok((ImageFormat::WebP, "WebP")),
        Ok(ImageFormat::Tiff) => Ok((ImageFormat::Tiff, "TIFF")),
        Ok(ImageFormat::Bmp) => Ok((ImageFormat::Bmp, "BMP")),
        Ok(ImageFormat::Gif) => Ok((ImageFormat::Gif, "GIF")),
        Ok(other) => {
            let what = other.extensions_str().first().map_or(format!("{other:?}"), |e| e.to_uppercase());
            Err(PictureError::Unsupported { what })
        }
        Err(_) => Err(PictureError::NotAnImage { start: first_bytes(bytes) }),
    }
}

/// What is missing of a file whose decoder would not miss it: it would fill with grey, or lose the orientation tag
/// that stands at the end.
pub(super) fn missing_end(bytes: &[u8], format: ImageFormat) -> Option<&'static str> {
    let (complete, missing) = match format {
        ImageFormat::Jpeg => (jpeg::markers(bytes, jpeg::Depth::All).complete, "no end-of-image marker"),
        ImageFormat::Png => (png::chunk(bytes, b"IEND").is_some(), "no IEND chunk"),
        ImageFormat::WebP => (riff_is_whole(bytes), "fewer bytes than its header says"),
        _ => (true, ""),
    };
    (!complete).then_some(missing)
}

fn riff_is_whole(bytes: &[u8]) -> bool {
    let length = bytes.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    length.is_some_and(|length| bytes.len() as u64 >= u64::from(length) + 8)
}

/// Formats that people have in image folders and that are not read here.
fn unread(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12) {
            Some(b"avif" | b"avis") => "AVIF",
            Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => "HEIC",
            Some(b"crx ") => "Canon raw (CR3)",
            _ => "video (MP4 family)",
        });
    }
    match () {
        () if starts(b"\0\0\0\x0cJXL ") || starts(b"\xff\x0a") => Some("JPEG XL"),
        () if starts(b"\0\0\0\x0cjP  ") || starts(b"\xff\x4f\xff\x51") => Some("JPEG 2000"),
        () if starts(b"8BPS") => Some("Photoshop (PSD)"),
        () if starts(b"%PDF") => Some("PDF"),
        () if starts(b"<svg") => Some("SVG"),
        () if starts(b"\x1aE\xdf\xa3") => Some("video (Matroska)"),
        () if starts(b"RIFF") && bytes.get(8..12) == Some(b"AVI ") => Some("video (AVI)"),
        () => None,
    }
}

/// Up to 12 bytes for a message: quoted where they are printable, else hexadecimal.
fn first_bytes(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(12)];
    if start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        return format!("\"{}\"", start.escape_ascii());
    }
    start.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_shows_its_first_bytes() {
        let told = |bytes: &[u8]| sniff(bytes).unwrap_err().to_string();
        assert!(told(b"").contains("0 bytes"));
        assert!(told(b"<!DOCTYPE html>").contains("\"<!DOCTYPE ht\""), "{}", told(b"<!DOCTYPE html>"));
        assert!(told(&[0; 40]).contains("00 00 00"));
    }

    #[test]
    fn known_formats_that_are_not_read_are_named() {
        for (bytes, name) in [
            (&b"\0\0\0\x20ftypheic\0\0"[..], "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0", "AVIF"),
            (b"8BPS\0\x01", "PSD"),
            (b"#?RADIANCE\n", "HDR"),
            (b"P6\n1 1\n255\n", "PBM"),
        ] {
            let error = sniff(bytes).unwrap_err();
            assert_eq!(error.reason(), "unsupported");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
