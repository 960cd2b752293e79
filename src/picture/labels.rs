//! Label maps: PNG files whose grey levels or palette entries are numbers of classes. They are read as numbers, never as colours.

use std::io::Cursor;

use super::{Limits, PictureError, png as chunks};

/// A number for every pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// `width * height` numbers, row by row from the top.
    pub labels: Vec<u16>,
}

impl LabelMap {
    /// The label map in the bytes of a grey or palette PNG file.
    ///
    /// # Errors
    /// Bytes that are no such file, broken or cut short, or of more pixels than the limits allow.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, PictureError> {
        let other = |found| PictureError::NoLabelMap { found };
        let (width, height) = chunks::size(bytes).ok_or_else(|| other("no PNG"))?;
        let too_large = u64::from(width) * u64::from(height) > limits.max_pixels;
        if too_large || width.max(height) > limits.max_side_px {
            let Limits { max_side_px, max_pixels, .. } = *limits;
            return Err(PictureError::TooLarge { width, height, max_side_px, max_pixels });
        }
        let broken =
            |error: png::DecodingError| PictureError::Broken { format: "PNG", detail: error.to_string() };
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(broken)?;
        let info = reader.info();
        let (bits, colour) = (info.bit_depth as usize, info.color_type);
        if !matches!(colour, png::ColorType::Grayscale | png::ColorType::Indexed) {
            return Err(other("a coloured picture"));
        }
        let mut data = vec![0; reader.output_buffer_size().ok_or_else(|| other("too large a file"))?];
        let frame = reader.next_frame(&mut data).map_err(broken)?;
        let mut labels = Vec::with_capacity(width as usize * height as usize);
        for line in data.chunks_exact(frame.line_size).take(height as usize) {
            match bits {
                16 => labels.extend(line.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair))),
                _ => {
                    let part = |at: usize| {
                        let (place, first) = (at * bits / 8, at * bits % 8);
                        u16::from(line[place] >> (8 - bits - first)) & ((1 << bits) - 1)
                    };
                    labels.extend((0..width as usize).map(part));
                }
            }
        }
        Ok(Self { width, height, labels })
    }

    /// The number at a pixel.
    pub fn at(&self, x: u32, y: u32) -> u16 {
        self.labels[y as usize * self.width as usize + x as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(
        width: u32,
        height: u32,
        colour: png::ColorType,
        depth: png::BitDepth,
        data: &[u8],
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            encoder.set_palette(vec![7; 3 * 16]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn every_depth_is_read_as_numbers() {
        use png::BitDepth::{Eight, Four, One, Sixteen, Two};
        use png::ColorType::{Grayscale, Indexed, Rgb};
        for (depth, data, wanted) in [
            (One, vec![0b1010_0000, 0b0100_0000], [1, 0, 1, 0, 1, 0]),
            (Two, vec![0b1101_1000, 0b0001_1100], [3, 1, 2, 0, 1, 3]),
            (Four, vec![0x12, 0x30, 0x45, 0x60], [1, 2, 3, 4, 5, 6]),
            (Eight, vec![1, 2, 3, 4, 5, 255], [1, 2, 3, 4, 5, 255]),
            (Sixteen, vec![0, 1, 1, 0, 0, 3, 0, 4, 0, 5, 2, 0], [1, 256, 3, 4, 5, 512]),
        ] {
            let map = LabelMap::decode(&encoded(3, 2, Grayscale, depth, &data), &Limits::default()).unwrap();
            assert_eq!((map.labels.as_slice(), map.at(2, 1)), (&wanted[..], wanted[5]), "{depth:?}");
        }
        // Entries, not colours.
        let palette = encoded(2, 1, Indexed, Eight, &[3, 9]);
        assert_eq!(LabelMap::decode(&palette, &Limits::default()).unwrap().labels, [3, 9]);
        let coloured = encoded(1, 1, Rgb, Eight, &[1, 2, 3]);
        let told = LabelMap::decode(&coloured, &Limits::default()).unwrap_err().to_string();
        assert!(told.contains("a coloured picture"), "{told}");
    }

    #[test]
    fn broken_files_are_errors() {
        let whole = encoded(64, 64, png::ColorType::Grayscale, png::BitDepth::Eight, &[5; 64 * 64]);
        for bytes in [&whole[..whole.len() / 2], b"\xff\xd8\xff\xe0", b""] {
            assert!(LabelMap::decode(bytes, &Limits::default()).is_err());
        }
        let limits = Limits { max_pixels: 100, ..Limits::default() };
        assert!(matches!(LabelMap::decode(&whole, &limits), Err(PictureError::TooLarge { .. })));
    }
}
