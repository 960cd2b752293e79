//! The grid of patches of one view, and where each patch lies in the image.

use super::Bbox;

/// `rows`×`cols` patches that divide `area` (a rectangle in image pixels) evenly, row by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// The part of the upright image that the view shows, in image pixels.
    pub area: Bbox,
    /// Patches from top to bottom.
    pub rows: u32,
    /// Patches from left to right.
    pub cols: u32,
}

impl Grid {
    /// Number of patches.
    pub fn len(&self) -> usize {
        self.rows as usize * self.cols as usize
    }

    /// Whether there is no patch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Width and height of one patch in image pixels.
    pub fn patch_size(&self) -> (f32, f32) {
        (self.area.w / self.cols as f32, self.area.h / self.rows as f32)
    }

    /// The image rectangle of patch `index` (row-major).
    pub fn patch_box(&self, index: usize) -> Bbox {
        let (w, h) = self.patch_size();
        let (row, col) = (index / self.cols as usize, index % self.cols as usize);
        Bbox::new(self.area.x + col as f32 * w, self.area.y + row as f32 * h, w, h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_tile_the_area() {
        let grid = Grid { area: Bbox::new(10.0, 20.0, 60.0, 40.0), rows: 2, cols: 3 };
        assert_eq!(grid.patch_box(0), Bbox::new(10.0, 20.0, 20.0, 20.0));
        assert_eq!(grid.patch_box(5), Bbox::new(50.0, 40.0, 20.0, 20.0));
        assert_eq!(grid.len(), 6);
    }
}
