//! A picture held another way: turned by quarters, mirrored.

use image::RgbImage;
use image::imageops::{flip_horizontal, rotate90, rotate180, rotate270};

use super::Picture;
use crate::core::Pose;

impl Picture {
    /// The picture in another pose.
    pub fn posed(&self, pose: Pose) -> Self {
        let mut image = RgbImage::from_raw(self.width, self.height, self.rgb.clone())
            .expect("invariant: three samples per pixel");
        if pose.is_mirrored {
            image = flip_horizontal(&image);
        }
        let image = match pose.quarter_turns % 4 {
            1 => rotate90(&image),
            2 => rotate180(&image),
            3 => rotate270(&image),
            _ => image,
        };
        Self { width: image.width(), height: image.height(), rgb: image.into_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Bbox, Posed};

    #[test]
    fn pixels_go_where_a_pose_says() {
        let (width, height) = (4, 3);
        let rgb = (0..width * height).flat_map(|at| [at as u8; 3]).collect();
        let picture = Picture { width, height, rgb };
        for pose in Pose::all(true, true) {
            let turned = picture.posed(pose);
            let posed = Posed { pose, width, height };
            for at in 0..width * height {
                let pixel = Bbox::new((at % width) as f32, (at / width) as f32, 1.0, 1.0);
                let there = posed.place(&pixel);
                let index = (there.y as u32 * turned.width + there.x as u32) as usize;
                assert_eq!(u32::from(turned.rgb[3 * index]), at, "{pose:?}");
            }
        }
    }
}
