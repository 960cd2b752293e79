//! Which pixels of an image are meant, where a box holds more than the object.

use super::Bbox;

/// Pixels of an image, each in or out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    width: u32,
    inside: Vec<bool>,
}

impl Mask {
    /// A mask of `width` pixels a row; `inside` has all of its rows, from the top.
    pub fn new(width: u32, inside: Vec<bool>) -> Self {
        Self { width, inside }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.inside.len() as u32 / self.width.max(1))
    }

    /// Whether the pixel at a point is in; none outside the mask is.
    pub fn contains(&self, x: f32, y: f32) -> bool {
        if x < 0.0 || y < 0.0 || x >= self.width as f32 {
            return false;
        }
        self.inside.get(y as usize * self.width as usize + x as usize).copied().unwrap_or(false)
    }

    /// The pixels that are in: column and row.
    pub fn pixels(&self) -> impl Iterator<Item = (u32, u32)> {
        let place = |at: usize| (at as u32 % self.width, at as u32 / self.width);
        self.inside.iter().enumerate().filter(|(_, inside)| **inside).map(move |(at, _)| place(at))
    }

    /// The smallest box around all pixels that are in. None where none is.
    pub fn bbox(&self) -> Option<Bbox> {
        let around = |held: Option<[u32; 4]>, (x, y): (u32, u32)| {
            let [x0, y0, x1, y1] = held.unwrap_or([x, y, x, y]);
            Some([x0.min(x), y0.min(y), x1.max(x), y1.max(y)])
        };
        let [x0, y0, x1, y1] = self.pixels().fold(None, around)?.map(|side| side as f32);
        Some(Bbox::from_corners(x0, y0, x1 + 1.0, y1 + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_knows_its_pixels_and_the_box_around_them() {
        let inside = (0..30).map(|at| [(2, 1), (3, 3)].contains(&(at % 6, at / 6))).collect();
        let mask = Mask::new(6, inside);
        assert_eq!(mask.bbox(), Some(Bbox::new(2.0, 1.0, 2.0, 3.0)));
        assert!(mask.contains(2.9, 1.9) && mask.contains(3.0, 3.0));
        for (x, y) in [(1.9, 1.0), (2.0, 2.0), (-0.5, 1.0), (6.0, 0.0), (2.0, 99.0)] {
            assert!(!mask.contains(x, y), "{x} {y}");
        }
        assert_eq!(Mask::new(6, vec![false; 30]).bbox(), None);
    }
}
