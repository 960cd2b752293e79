//! From every decoded colour kind to RGB8: alpha over white, 16 bits scaled to 8, grey to three equal channels.

use image::{ColorType, DynamicImage};

/// RGB8 samples of `image`, row by row. `None` for floating-point samples, which have no agreed range.
pub(super) fn to_rgb8(image: DynamicImage) -> Option<Vec<u8>> {
    Some(match image {
        DynamicImage::ImageRgb8(i) => i.into_raw(),
        DynamicImage::ImageLuma8(i) => i.into_raw().into_iter().flat_map(|v| [v; 3]).collect(),
        DynamicImage::ImageLumaA8(i) => {
            i.as_raw().as_chunks::<2>().0.iter().flat_map(|&[v, a]| [over_white(v, a); 3]).collect()
        }
        DynamicImage::ImageRgba8(i) => i
            .as_raw()
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[r, g, b, a]| [r, g, b].map(|v| over_white(v, a)))
            .collect(),
        DynamicImage::ImageLuma16(i) => i.into_raw().into_iter().flat_map(|v| [eight_bits(v); 3]).collect(),
        DynamicImage::ImageLumaA16(i) => {
            i.as_raw().as_chunks::<2>().0.iter().flat_map(|&[v, a]| [over_white_16(v, a); 3]).collect()
        }
        DynamicImage::ImageRgb16(i) => i.into_raw().into_iter().map(eight_bits).collect(),
        DynamicImage::ImageRgba16(i) => i
            .as_raw()
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[r, g, b, a]| [r, g, b].map(|v| over_white_16(v, a)))
            .collect(),
        _ => return None,
    })
}

/// Whether [`to_rgb8`] takes this kind.
pub(super) fn is_integer(color: ColorType) -> bool {
    use ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    matches!(color, L8 | La8 | Rgb8 | Rgba8 | L16 | La16 | Rgb16 | Rgba16)
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn over_white_16(value: u16, alpha: u16) -> u8 {
    let (value, alpha) = (u64::from(value), u64::from(alpha));
    eight_bits(((value * alpha + 65_535 * (65_535 - alpha) + 32_767) / 65_535) as u16)
}

/// Nearest of 256 levels; 257 = 65535 / 255.
fn eight_bits(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_scales_are_kept() {
        assert_eq!([0, 128, 129, 65_407, 65_535].map(eight_bits), [0, 0, 1, 255, 255]);
        assert_eq!(
            [over_white(0, 0), over_white(0, 255), over_white(255, 0), over_white(100, 128)],
            [255, 0, 255, 177]
        );
        assert_eq!(
            [over_white_16(0, 0), over_white_16(0, 65_535), over_white_16(25_700, 65_535)],
            [255, 0, 100]
        );
    }

    #[test]
    fn floating_point_is_refused() {
        assert!(to_rgb8(DynamicImage::new_rgb32f(1, 1)).is_none());
        assert!(!is_integer(ColorType::Rgb32F) && is_integer(ColorType::La16));
    }
}
