//! Where in an image the object is: matches vote for centre and scale, the best votes are checked token by token, the
//! best place is refined by robust least squares. Scores are fused, nothing is vetoed.

use ndarray::Array2;

use super::QueryTokens;
use super::candidates::{Candidate, Ranking};
use crate::core::{Bbox, Grid, Match, StageScores};
use crate::index::similarities;

/// Matches of one token that vote, best first.
const VOTES_PER_TOKEN: usize = 4;
/// Places of one scale that are checked.
const PEAKS_PER_SCALE: usize = 4;
/// A patch this far from where it is expected, in patches, still belongs to the place.
const REACH: f32 = 1.0;
/// What it costs in similarity that a patch lies one patch away from where it is expected. Without a cost, places that
/// differ by less than the reach would count alike, and boxes would fit no better than that.
const PULL: f32 = 0.1;
/// Weights of the stages in the fused score.
pub(super) const FUSION: StageScores = StageScores { vote: 0.25, maxsim: 0.25, geometry: 0.5 };
/// Rounds of refinement.
const REFINEMENTS: usize = 3;

/// A query point (x, y) lies at (`scale`·x + `dx`, `scale`·y + `dy`) in the image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    pub scale: f32,
    pub dx: f32,
    pub dy: f32,
    /// Weighted mean of the similarity where each token is expected.
    pub geometry: f32,
    /// Share of the weight whose best match lies where it is expected.
    pub vote: f32,
}

impl Placement {
    /// Its part of the fused score; the rest is the same for all places of an image.
    pub fn worth(&self) -> f32 {
        FUSION.vote * self.vote + FUSION.geometry * self.geometry
    }

    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.scale * x + self.dx, self.scale * y + self.dy)
    }

    /// The query's box where this places it.
    pub fn place(&self, bbox: &Bbox) -> Bbox {
        let (x, y) = self.at(bbox.x, bbox.y);
        Bbox::new(x, y, bbox.w * self.scale, bbox.h * self.scale)
    }
}

/// The patch that answers a token where a placement expects it.
#[derive(Clone, Copy)]
struct Reply {
    patch: usize,
    similarity: f32,
    /// What its distance from the expected place costs.
    cost: f32,
}

impl Reply {
    fn worth(&self) -> f32 {
        self.similarity - self.cost
    }
}

/// One image's patches beside the query's tokens.
pub(super) struct Scene<'a> {
    tokens: &'a QueryTokens,
    weights: &'a [f32],
    background: &'a [f32],
    /// Best similarity of each token anywhere in the image.
    best: &'a [f32],
    views: Vec<(Grid, Array2<f32>)>,
}

impl<'a> Scene<'a> {
    /// Computes all similarities of a candidate.
    pub fn new(candidate: &'a Candidate<'_>, ranking: &'a Ranking<'_>, tokens: &'a QueryTokens) -> Self {
        let vectors = candidate.segment.vectors();
        let score = |view: crate::segment::PatchView| {
            let scores = similarities(&tokens.vectors, vectors, view.first_patch, view.grid.len());
            (view.grid, scores)
        };
        Self {
            tokens,
            weights: &ranking.weights,
            background: &ranking.background,
            best: &candidate.best,
            views: candidate.image.views().map(score).collect(),
        }
    }

    /// The best places for the object, best first.
    pub fn placements(&self, scales: &[f32]) -> Vec<Placement> {
        let mut found: Vec<Placement> = Vec::new();
        for view in 0..self.views.len() {
            let votes = self.votes(view);
            for scale in self.scales(view, scales) {
                for (dx, dy) in self.peaks(view, &votes, scale) {
                    found.push(self.refine(view, self.judged(view, scale, dx, dy)));
                }
            }
        }
        found.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
        found
    }

    /// The strongest similarity of each patch of the first view with any token.
    pub fn similarity_map(&self) -> Option<(Grid, Vec<f32>)> {
        let (grid, scores) = self.views.first()?;
        Some((
            *grid,
            scores.columns().into_iter().map(|column| column.iter().copied().fold(-1.0, f32::max)).collect(),
        ))
    }

    /// The matches behind a placement: each token with the best patch where it is expected, strongest first.
    pub fn matches(&self, placement: &Placement, limit: usize) -> Vec<Match> {
        let mut matches: Vec<Match> = (0..self.tokens.len())
            .filter_map(|token| {
                let found = (0..self.views.len()).filter_map(|view| {
                    let reply = self.expected(view, token, placement)?;
                    (reply.similarity > self.background[token]).then_some((view, reply))
                });
                let (view, reply) =
                    found.max_by(|a, b| a.1.worth().total_cmp(&b.1.worth()).then(b.0.cmp(&a.0)))?;
                let patch_box = self.views[view].0.patch_box(reply.patch);
                Some(Match { query_box: self.tokens.boxes[token], patch_box, similarity: reply.similarity })
            })
            .collect();
        matches.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        matches.truncate(limit);
        matches
    }

    /// Pixel scales to try: the given ones times what makes query patches as large as the view's.
    fn scales(&self, view: usize, relative: &[f32]) -> Vec<f32> {
        let (w, h) = self.views[view].0.patch_size();
        let same = (w + h) / 2.0 / self.tokens.patch_px();
        // A zoomed query shows the object larger than the gallery is likely to: try both readings.
        let zoom = self.tokens.view.zoom;
        let mut scales: Vec<f32> = relative.iter().map(|ratio| ratio * same).collect();
        if zoom > 1.5 {
            scales.extend(relative.iter().map(|ratio| ratio * same / zoom));
        }
        scales
    }

    /// (token, patch, weight) of the strongest matches.
    fn votes(&self, view: usize) -> Vec<(usize, usize, f32)> {
        let scores = &self.views[view].1;
        let mut votes = Vec::with_capacity(self.tokens.len() * VOTES_PER_TOKEN);
        for (token, row) in scores.rows().into_iter().enumerate() {
            let mut best = crate::index::TopK::new(VOTES_PER_TOKEN);
            for (patch, &similarity) in row.iter().enumerate() {
                if similarity >= best.bar() {
                    best.push(crate::index::Neighbour { similarity, row: patch as u64 });
                }
            }
            for found in best.into_vec() {
                let strength = (found.similarity - self.background[token]).max(0.0) + 0.02;
                votes.push((token, found.row as usize, self.weights[token] * strength));
            }
        }
        votes
    }

    /// Translations that most votes agree on, for one scale.
    fn peaks(&self, view: usize, votes: &[(usize, usize, f32)], scale: f32) -> Vec<(f32, f32)> {
        let grid = &self.views[view].0;
        let (cell_w, cell_h) = grid.patch_size();
        let (cx, cy) = self.tokens.bbox.center();
        // One cell a patch, with a margin of half the view on each side for objects that are cut off.
        let (cols, rows) = (grid.cols as i32 * 2, grid.rows as i32 * 2);
        let mut cells = vec![0.0f32; (cols * rows) as usize];
        for &(token, patch, weight) in votes {
            let (px, py) = grid.patch_box(patch).center();
            let (tx, ty) = self.tokens.boxes[token].center();
            let col = (px + scale * (cx - tx) - grid.area.x) / cell_w + grid.cols as f32 / 2.0 - 0.5;
            let row = (py + scale * (cy - ty) - grid.area.y) / cell_h + grid.rows as f32 / 2.0 - 0.5;
            let (c0, r0) = (col.floor(), row.floor());
            for (c, share_c) in [(c0, 1.0 - (col - c0)), (c0 + 1.0, col - c0)] {
                for (r, share_r) in [(r0, 1.0 - (row - r0)), (r0 + 1.0, row - r0)] {
                    let (c, r) = (c as i32, r as i32);
                    if (0..cols).contains(&c) && (0..rows).contains(&r) {
                        cells[(r * cols + c) as usize] += weight * share_c * share_r;
                    }
                }
            }
        }
        let smooth = smoothed(&cells, cols, rows);
        let mut peaks: Vec<(f32, i32)> = (0..cols * rows)
            .filter(|&at| smooth[at as usize] > 0.0 && is_peak(&smooth, at, cols, rows))
            .map(|at| (smooth[at as usize], at))
            .collect();
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        peaks.truncate(PEAKS_PER_SCALE);
        let translation = |at: i32| {
            let x = ((at % cols) as f32 + 0.5 - grid.cols as f32 / 2.0) * cell_w + grid.area.x;
            let y = ((at / cols) as f32 + 0.5 - grid.rows as f32 / 2.0) * cell_h + grid.area.y;
            (x - scale * cx, y - scale * cy)
        };
        peaks.into_iter().map(|(_, at)| translation(at)).collect()
    }

    /// The patch within reach of where a placement expects a token that answers it best, distance counted. None outside
    /// the view.
    fn expected(&self, view: usize, token: usize, placement: &Placement) -> Option<Reply> {
        let (grid, scores) = &self.views[view];
        let (w, h) = grid.patch_size();
        let (tx, ty) = self.tokens.boxes[token].center();
        let (x, y) = placement.at(tx, ty);
        let (col, row) = ((x - grid.area.x) / w - 0.5, (y - grid.area.y) / h - 0.5);
        let range = |at: f32, count: u32| {
            let first = (at - REACH).ceil().max(0.0) as i64;
            let last = (at + REACH).floor().min(count as f32 - 1.0) as i64;
            first..=last
        };
        let mut best: Option<Reply> = None;
        for r in range(row, grid.rows) {
            for c in range(col, grid.cols) {
                let patch = r as usize * grid.cols as usize + c as usize;
                let distance = (c as f32 - col).powi(2) + (r as f32 - row).powi(2);
                let reply = Reply { patch, similarity: scores[(token, patch)], cost: PULL * distance };
                if best.is_none_or(|held| reply.worth() > held.worth()) {
                    best = Some(reply);
                }
            }
        }
        best
    }

    fn judged(&self, view: usize, scale: f32, dx: f32, dy: f32) -> Placement {
        let mut placement = Placement { scale, dx, dy, geometry: 0.0, vote: 0.0 };
        for token in 0..self.tokens.len() {
            let weight = self.weights[token];
            match self.expected(view, token, &placement) {
                Some(reply) => {
                    placement.geometry += weight * reply.worth();
                    if reply.similarity >= self.best[token] - 1e-6
                        && reply.similarity > self.background[token]
                    {
                        placement.vote += weight;
                    }
                }
                // Outside the image: nothing was seen there, for or against.
                None => placement.geometry += weight * self.background[token].min(0.0),
            }
        }
        placement
    }

    /// Least squares over the matches where they are expected, weighted by how far they stand out, repeated while it
    /// helps. The similarity transform keeps its aspect: coarse grids do not carry more.
    fn refine(&self, view: usize, mut placement: Placement) -> Placement {
        for _ in 0..REFINEMENTS {
            let Some((scale, dx, dy)) = self.fit(view, &placement) else { break };
            if !(placement.scale * 0.7..=placement.scale * 1.4).contains(&scale) {
                break;
            }
            let next = self.judged(view, scale, dx, dy);
            if next.worth() <= placement.worth() {
                break;
            }
            placement = next;
        }
        placement
    }

    fn fit(&self, view: usize, placement: &Placement) -> Option<(f32, f32, f32)> {
        let grid = &self.views[view].0;
        let mut points = Vec::with_capacity(self.tokens.len());
        for token in 0..self.tokens.len() {
            let Some(reply) = self.expected(view, token, placement) else { continue };
            let weight = self.weights[token] * (reply.similarity - self.background[token]).max(0.0).powi(2);
            if weight > 0.0 {
                points.push((
                    self.tokens.boxes[token].center(),
                    grid.patch_box(reply.patch).center(),
                    weight,
                ));
            }
        }
        if points.len() < 4 {
            return None;
        }
        let sum: f32 = points.iter().map(|(_, _, weight)| weight).sum();
        let (mut query_x, mut query_y, mut image_x, mut image_y) = (0.0, 0.0, 0.0, 0.0);
        for &((x, y), (u, v), weight) in &points {
            let share = weight / sum;
            query_x += share * x;
            query_y += share * y;
            image_x += share * u;
            image_y += share * v;
        }
        let (mut cross, mut spread) = (0.0, 0.0);
        for ((x, y), (u, v), weight) in points {
            cross += weight * ((x - query_x) * (u - image_x) + (y - query_y) * (v - image_y));
            spread += weight * ((x - query_x).powi(2) + (y - query_y).powi(2));
        }
        let scale = cross / spread;
        let fits = spread > 0.0 && scale.is_finite() && scale > 0.0;
        fits.then_some((scale, image_x - scale * query_x, image_y - scale * query_y))
    }
}

/// Each cell with a quarter of its neighbours: a vote half a patch off still counts.
fn smoothed(cells: &[f32], cols: i32, rows: i32) -> Vec<f32> {
    let value = |c: i32, r: i32| {
        if (0..cols).contains(&c) && (0..rows).contains(&r) { cells[(r * cols + c) as usize] } else { 0.0 }
    };
    (0..cols * rows)
        .map(|at| {
            let (c, r) = (at % cols, at / cols);
            let sides = value(c - 1, r) + value(c + 1, r) + value(c, r - 1) + value(c, r + 1);
            value(c, r) + sides / 2.0
        })
        .collect()
}

/// Whether a cell is above its neighbours before it and not below those after it.
fn is_peak(cells: &[f32], at: i32, cols: i32, rows: i32) -> bool {
    let (col, row) = (at % cols, at / cols);
    let here = cells[at as usize];
    (-1..=1).all(|dr| {
        (-1..=1).all(|dc| {
            let (c, r) = (col + dc, row + dr);
            if (dc, dr) == (0, 0) || !(0..cols).contains(&c) || !(0..rows).contains(&r) {
                return true;
            }
            let there = cells[(r * cols + c) as usize];
            if (dr, dc) < (0, 0) { here > there } else { here >= there }
        })
    })
}
