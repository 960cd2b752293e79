//! A place of the object in an image, as a similarity transform of the query image, and what the stages say for it.

use crate::core::{Bbox, StageScores};

/// A refined place is as large as before within this factor.
const MOST_GROWTH: f32 = 1.4;

/// Fewer pairs, or tokens, tell nothing about scale and turn.
pub(super) const LEAST_PAIRS: usize = 4;

/// Weights of the stages in the fused score.
pub(super) const FUSION: StageScores = StageScores { vote: 0.25, maxsim: 0.25, geometry: 0.5 };

/// A query point (x, y) lies at (`a`·x − `b`·y + `dx`, `b`·x + `a`·y + `dy`) in the image: scaled, turned, moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    pub a: f32,
    pub b: f32,
    pub dx: f32,
    pub dy: f32,
}

/// Two places that belong together: a point of the query image, one of the image, and how much they count.
pub(super) type Pair = ((f32, f32), (f32, f32), f32);

impl Placement {
    /// The transform of least weighted squares (Umeyama, PAMI 13(4), 1991, in two dimensions). None where the pairs do not tell,
    /// or say that the object is upside down.
    fn fit(pairs: &[Pair]) -> Option<Self> {
        if pairs.len() < LEAST_PAIRS {
            return None;
        }
        let sum: f32 = pairs.iter().map(|(.., weight)| weight).sum();
        let (mut query_x, mut query_y, mut image_x, mut image_y) = (0.0, 0.0, 0.0, 0.0);
        for &((x, y), (u, v), weight) in pairs {
            let share = weight / sum;
            query_x += share * x;
            query_y += share * y;
            image_x += share * u;
            image_y += share * v;
        }
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for &((x, y), (u, v), weight) in pairs {
            let (x, y, u, v) = (x - query_x, y - query_y, u - image_x, v - image_y);
            along += weight * (x * u + y * v);
            across += weight * (x * v - y * u);
            spread += weight * (x * x + y * y);
        }
        let (a, b) = (along / spread, across / spread);
        let (dx, dy) = (image_x - (a * query_x - b * query_y), image_y - (b * query_x + a * query_y));
        (a.is_finite() && b.is_finite() && a > 0.0).then_some(Self { a, b, dx, dy })
    }

    /// The transform that fits `pairs` found around this one, where it makes things about as large as this does.
    pub fn refit(&self, pairs: &[Pair]) -> Option<Self> {
        let is_near = |fit: &Self| (1.0 / MOST_GROWTH..=MOST_GROWTH).contains(&(fit.scale() / self.scale()));
        Self::fit(pairs).filter(is_near)
    }

    /// This transform, moved by how far the points of `pairs` lie from where it has them, on a weighted average. None without
    /// pairs.
    pub fn moved(&self, pairs: &[Pair]) -> Option<Self> {
        let sum: f32 = pairs.iter().map(|(.., weight)| weight).sum();
        let mut moved = *self;
        for &(query, (u, v), weight) in pairs {
            let (x, y) = self.at(query);
            moved.dx += weight / sum * (u - x);
            moved.dy += weight / sum * (v - y);
        }
        (sum > 0.0).then_some(moved)
    }

    /// How much larger things are in the image than in the query image.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    /// Where a point of the query image lies in the image.
    pub fn at(&self, (x, y): (f32, f32)) -> (f32, f32) {
        (self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy)
    }

    /// Where a point of the image lies in the query image.
    pub fn back(&self, (u, v): (f32, f32)) -> (f32, f32) {
        let (u, v, squared) = (u - self.dx, v - self.dy, self.a * self.a + self.b * self.b);
        ((self.a * u + self.b * v) / squared, (self.a * v - self.b * u) / squared)
    }

    /// How far this and `other` take a corner of a box apart at most, as a share of how large the box becomes.
    pub fn apart(&self, other: &Self, bbox: &Bbox) -> f32 {
        let (right, bottom) = (bbox.x + bbox.w, bbox.y + bbox.h);
        let corners = [(bbox.x, bbox.y), (right, bbox.y), (bbox.x, bottom), (right, bottom)];
        let apart = |corner| {
            let (one, two) = (self.at(corner), other.at(corner));
            (one.0 - two.0).hypot(one.1 - two.1)
        };
        corners.map(apart).into_iter().fold(0.0, f32::max) / (self.scale() * bbox.area().sqrt())
    }

    /// The box around what the query's box shows where this places it. A turned rectangle would have its corners farther out
    /// than a turned ellipse; most things are between the two.
    pub fn place(&self, bbox: &Bbox) -> Bbox {
        let (x, y) = self.at(bbox.center());
        let side = |along: f32, across: f32| {
            let (along, across) = (along * self.a.abs(), across * self.b.abs());
            (along + across + along.hypot(across)) / 2.0
        };
        let (w, h) = (side(bbox.w, bbox.h), side(bbox.h, bbox.w));
        Bbox::new(x - w / 2.0, y - h / 2.0, w, h)
    }
}

/// One score of all stages.
pub(super) fn fused(scores: &StageScores) -> f32 {
    FUSION.vote * scores.vote + FUSION.maxsim * scores.maxsim + FUSION.geometry * scores.geometry
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fit_finds_the_transform_and_back_undoes_it(
            scale in 0.1f32..4.0, degrees in -80.0f32..80.0, dx in -500.0f32..500.0, dy in -500.0f32..500.0,
        ) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let placement = Placement { a: scale * cos, b: scale * sin, dx, dy };
            let points = [(10.0, 20.0), (90.0, 25.0), (60.0, 80.0), (15.0, 70.0), (50.0, 50.0)];
            let pairs: Vec<Pair> = points.iter().map(|&point| (point, placement.at(point), 1.0 + point.0)).collect();
            let fit = Placement::fit(&pairs).unwrap();
            for point in points {
                for (a, b) in [(fit.at(point), placement.at(point)), (placement.back(placement.at(point)), point)] {
                    prop_assert!((a.0 - b.0).abs() < 0.05 && (a.1 - b.1).abs() < 0.05, "{a:?} {b:?}");
                }
            }
            let halved = Placement { a: fit.a / 2.0, b: fit.b / 2.0, ..fit };
            prop_assert!(fit.refit(&pairs) == Some(fit) && halved.refit(&pairs).is_none());
            prop_assert!(Placement::fit(&pairs[..3]).is_none());
            for few in 1..LEAST_PAIRS {
                let moved = halved.moved(&pairs[..few]).unwrap();
                prop_assert_eq!((moved.a, moved.b), (halved.a, halved.b));
                let (mut x, mut y) = (0.0, 0.0);
                for &(query, (u, v), weight) in &pairs[..few] {
                    let at = moved.at(query);
                    (x, y) = (x + weight * (u - at.0), y + weight * (v - at.1));
                }
                prop_assert!(x.abs() < 0.5 && y.abs() < 0.5, "{x} {y} are left of {few}");
            }
            prop_assert!(fit.moved(&[]).is_none());
        }
    }

    #[test]
    fn a_box_that_is_not_turned_keeps_its_shape() {
        let placement = Placement { a: 2.0, b: 0.0, dx: 5.0, dy: -1.0 };
        assert_eq!(placement.place(&Bbox::new(10.0, 20.0, 30.0, 40.0)), Bbox::new(25.0, 39.0, 60.0, 80.0));
        let turned = Placement { a: 0.0, b: 1.0, dx: 0.0, dy: 0.0 }.place(&Bbox::new(0.0, 0.0, 30.0, 40.0));
        let turns = [20f32, -20.0].map(|degrees| {
            let (b, a) = degrees.to_radians().sin_cos();
            Placement { a, b, dx: 0.0, dy: 0.0 }
        });
        let bbox = Bbox::new(-15.0, -20.0, 30.0, 40.0);
        assert_eq!(turns.map(|turned| turned.place(&bbox))[0], turns[1].place(&bbox));
        assert!(turns[0].apart(&turns[1], &bbox) > 0.4 && turns[0].apart(&turns[0], &bbox) == 0.0);
        assert!((turned.w - 40.0).abs() < 1e-4 && (turned.h - 30.0).abs() < 1e-4, "{turned}");
    }
}
