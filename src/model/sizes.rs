//! Which input sizes a graph takes, and the size at which a view goes through it.

/// Input sizes that a graph takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeRule {
    /// Any multiple of the patch.
    Dynamic,
    /// One size, in pixels.
    Fixed {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
}

impl SizeRule {
    /// The input size in pixels for a view of `width`×`height` image pixels whose long side should have
    /// `long_side_px`: aspect kept, each side rounded to a multiple of `patch_px`, at least one patch. A fixed graph
    /// stretches every view to its one size.
    pub fn view_size(&self, width: f32, height: f32, long_side_px: u32, patch_px: u32) -> (u32, u32) {
        if let Self::Fixed { width, height } = *self {
            return (width, height);
        }
        let scale = long_side_px as f32 / width.max(height);
        let side = |px: f32| ((px * scale / patch_px as f32).round() as u32).max(1) * patch_px;
        (side(width), side(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_whole_patches_and_the_aspect_is_kept() {
        assert_eq!(SizeRule::Dynamic.view_size(640.0, 480.0, 518, 14), (518, 392));
        assert_eq!(SizeRule::Dynamic.view_size(1.0, 1000.0, 518, 14), (14, 518));
        assert_eq!(SizeRule::Fixed { width: 224, height: 224 }.view_size(640.0, 480.0, 518, 14), (224, 224));
    }
}
