//! The eight ways in which a picture can be held: quarter turns, and the mirror image of each.

use super::Bbox;

/// Mirrored left to right or not, then turned clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pose {
    /// Whether it is mirrored.
    pub is_mirrored: bool,
    /// Quarter turns clockwise, 0 to 3.
    pub quarter_turns: u8,
}

impl Pose {
    /// The upright one, and as far as they are asked for the others.
    pub fn all(mirrored: bool, turned: bool) -> Vec<Self> {
        let mirrors = if mirrored { &[false, true][..] } else { &[false] };
        let turns = if turned { 0..4 } else { 0..1 };
        let poses = mirrors.iter().flat_map(|&is_mirrored| {
            turns.clone().map(move |quarter_turns| Self { is_mirrored, quarter_turns })
        });
        poses.collect()
    }
}

/// Where the points of a picture are when it is held in a pose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posed {
    /// The pose.
    pub pose: Pose,
    /// Width of the picture in pixels before it is posed.
    pub width: u32,
    /// Height of the picture in pixels before it is posed.
    pub height: u32,
}

impl Posed {
    /// Where a box of the picture is when it is posed.
    pub fn place(&self, bbox: &Bbox) -> Bbox {
        let (mut w, mut h) = (self.width as f32, self.height as f32);
        let mut placed = *bbox;
        if self.pose.is_mirrored {
            placed.x = w - placed.right();
        }
        for _ in 0..self.pose.quarter_turns {
            placed = Bbox::new(h - placed.bottom(), placed.x, placed.h, placed.w);
            (w, h) = (h, w);
        }
        placed
    }

    /// Where a box of the posed picture is in the picture itself.
    pub fn back(&self, bbox: &Bbox) -> Bbox {
        let is_sideways = self.pose.quarter_turns % 2 == 1;
        let (mut w, mut h) = (self.width as f32, self.height as f32);
        if is_sideways {
            (w, h) = (h, w);
        }
        let mut back = *bbox;
        for _ in 0..self.pose.quarter_turns {
            back = Bbox::new(back.y, w - back.right(), back.h, back.w);
            (w, h) = (h, w);
        }
        if self.pose.is_mirrored {
            back.x = w - back.right();
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pose_is_undone() {
        let bbox = Bbox::new(10.0, 20.0, 5.0, 8.0);
        for pose in Pose::all(true, true) {
            let posed = Posed { pose, width: 100, height: 60 };
            assert_eq!(posed.back(&posed.place(&bbox)), bbox, "{pose:?}");
        }
        assert_eq!(Pose::all(false, false), [Pose::default()]);
        assert_eq!(Pose::all(true, true).len(), 8);
    }

    #[test]
    fn mirrored_comes_before_turned() {
        let posed = |is_mirrored, quarter_turns| {
            let posed = Posed { pose: Pose { is_mirrored, quarter_turns }, width: 100, height: 60 };
            posed.place(&Bbox::new(10.0, 20.0, 5.0, 8.0))
        };
        assert_eq!(posed(true, 0), Bbox::new(85.0, 20.0, 5.0, 8.0));
        assert_eq!(posed(false, 1), Bbox::new(32.0, 10.0, 8.0, 5.0));
        assert_eq!(posed(true, 1), Bbox::new(32.0, 85.0, 8.0, 5.0));
        assert_eq!(posed(false, 2), Bbox::new(85.0, 32.0, 5.0, 8.0));
    }
}
