//! Where in an image the object is: matches vote for centre, scale and turn, the best votes are checked token by token, the
//! best places are refined by robust least squares. Scores are fused, nothing is vetoed.

use ndarray::Array2;

use super::candidates::{Candidate, Look, Ranking};
use super::{Plan, QueryTokens};
use crate::core::{Bbox, Grid, Match, StageScores};
use crate::index::{Neighbour, TopK, similarities};

/// Matches of one token that vote, best first.
const VOTES_PER_TOKEN: usize = 4;
/// What a match counts more whose patch finds nothing better among the tokens either.
const MUTUAL: f32 = 2.0;
/// Places of one scale and turn that are checked.
const PEAKS: usize = 2;
/// Places of a view that are refined, the best of those that were checked.
const REFINED: usize = 6;
/// A patch this far from where it is expected, in patches, still belongs to the place.
const REACH: f32 = 1.0;
/// What it costs in similarity that a patch lies one patch away from where it is expected. Without a cost, places that
/// differ by less than the reach would count alike, and boxes would fit no better than that.
const PULL: f32 = 0.1;
/// What a token counts that is expected outside the image, where nothing was seen for or against it.
const UNSEEN: f32 = 0.5;
/// Weights of the stages in the fused score.
pub(super) const FUSION: StageScores = StageScores { vote: 0.25, maxsim: 0.25, geometry: 0.5 };
/// How sure one size must be to have its way: its say is its score to this power.
const SURE: i32 = 8;
/// Rounds of refinement.
const REFINEMENTS: usize = 3;
/// A refined place is as large as before within this factor.
const MOST_GROWTH: f32 = 1.4;

/// A query point (x, y) lies at (`a`·x − `b`·y + `dx`, `b`·x + `a`·y + `dy`) in the image: scaled, turned, moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    a: f32,
    b: f32,
    dx: f32,
    dy: f32,
    /// Weighted mean of what the similarity is worth where each token is expected.
    pub geometry: f32,
    /// Share of the weight whose best match lies where it is expected.
    pub vote: f32,
}

impl Placement {
    /// Its part of the fused score; the rest is the same for all places of an image.
    pub fn worth(&self) -> f32 {
        FUSION.vote * self.vote + FUSION.geometry * self.geometry
    }

    fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }

    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy)
    }

    /// The box around what the query's box shows where this places it. A turned rectangle would have its corners farther out
    /// than a turned ellipse; most things are between the two.
    pub fn place(&self, bbox: &Bbox) -> Bbox {
        let (x, y) = bbox.center();
        let (x, y) = self.at(x, y);
        let side = |along: f32, across: f32| {
            let (along, across) = (along * self.a.abs(), across * self.b.abs());
            (along + across + along.hypot(across)) / 2.0
        };
        let (w, h) = (side(bbox.w, bbox.h), side(bbox.h, bbox.w));
        Bbox::new(x - w / 2.0, y - h / 2.0, w, h)
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
    fn net(&self) -> f32 {
        self.similarity - self.cost
    }
}

/// A match that votes.
struct Vote {
    /// Centre of the token, from the centre of the box.
    from: (f32, f32),
    /// Centre of the patch.
    to: (f32, f32),
    weight: f32,
}

/// One image's patches beside the query's tokens of one size.
pub(super) struct Scene<'a> {
    tokens: &'a QueryTokens,
    about: &'a Look<'a>,
    /// Best similarity of each token anywhere in the image.
    best: &'a [f32],
    /// What they are worth together.
    maxsim: f32,
    views: Vec<(Grid, Array2<f32>)>,
}

impl<'a> Scene<'a> {
    /// Computes all similarities of a candidate.
    pub fn new(candidate: &'a Candidate<'_>, ranking: &'a Ranking<'_, '_>, look: usize) -> Self {
        let about = &ranking.looks[look];
        let (tokens, vectors) = (about.tokens, candidate.segment.vectors());
        let score = |view: crate::segment::PatchView| {
            let scores = similarities(&tokens.vectors, vectors, view.first_patch, view.grid.len());
            (view.grid, scores)
        };
        let views = candidate.image.views().map(score).collect();
        let (best, maxsim) = (&candidate.best[look], candidate.maxsim[look]);
        Self { tokens, about, best, maxsim, views }
    }

    /// The box that is looked for.
    pub fn bbox(&self) -> Bbox {
        self.tokens.bbox
    }

    /// The best places for the object, best first.
    pub fn placements(&self, plan: &Plan) -> Vec<Placement> {
        let mut found: Vec<Placement> = Vec::new();
        for view in 0..self.views.len() {
            let (w, h) = self.views[view].0.patch_size();
            let same = (w + h) / 2.0 / self.tokens.patch_px();
            let votes = self.votes(view);
            let mut checked: Vec<Placement> = Vec::new();
            for scale in &plan.scales {
                for degrees in &plan.rotations {
                    let (sin, cos) = degrees.to_radians().sin_cos();
                    let turn = (same * scale * cos, same * scale * sin);
                    checked.extend(self.peaks(view, &votes, turn));
                }
            }
            checked.sort_by(|a, b| b.worth().total_cmp(&a.worth()));
            checked.truncate(REFINED);
            found.extend(checked.into_iter().map(|placement| self.refine(view, placement)));
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
                    (reply.similarity > self.about.background[token]).then_some((view, reply))
                });
                let (view, reply) =
                    found.max_by(|a, b| a.1.net().total_cmp(&b.1.net()).then(b.0.cmp(&a.0)))?;
                let patch_box = self.views[view].0.patch_box(reply.patch);
                Some(Match { query_box: self.tokens.boxes[token], patch_box, similarity: reply.similarity })
            })
            .collect();
        matches.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        matches.truncate(limit);
        matches
    }

    /// The strongest matches.
    fn votes(&self, view: usize) -> Vec<Vote> {
        let (grid, scores) = &self.views[view];
        let background = &self.about.background;
        // What each patch is most like, above its background.
        let mut owners = vec![(f32::NEG_INFINITY, 0); grid.len()];
        for (token, row) in scores.rows().into_iter().enumerate() {
            for (owner, similarity) in owners.iter_mut().zip(row) {
                let above = similarity - background[token];
                if above > owner.0 {
                    *owner = (above, token);
                }
            }
        }
        let (cx, cy) = self.tokens.bbox.center();
        let mut votes = Vec::with_capacity(self.tokens.len() * VOTES_PER_TOKEN);
        for (token, row) in scores.rows().into_iter().enumerate() {
            let mut best = TopK::new(VOTES_PER_TOKEN);
            for (patch, &similarity) in row.iter().enumerate() {
                if similarity >= best.bar() {
                    best.push(Neighbour { similarity, row: patch as u64 });
                }
            }
            let (x, y) = self.tokens.boxes[token].center();
            for found in best.into_vec() {
                let patch = found.row as usize;
                let strength = (found.similarity - background[token]).max(0.0) + 0.02;
                let mutual = if owners[patch].1 == token { MUTUAL } else { 1.0 };
                let weight = self.about.weights[token] * strength * mutual;
                votes.push(Vote { from: (x - cx, y - cy), to: grid.patch_box(patch).center(), weight });
            }
        }
        votes
    }

    /// The places that most votes agree on, for one scale and turn.
    fn peaks(&self, view: usize, votes: &[Vote], (a, b): (f32, f32)) -> Vec<Placement> {
        let grid = &self.views[view].0;
        let (cell_w, cell_h) = grid.patch_size();
        // One cell a patch, with a margin of half the view on each side for objects that are cut off.
        let (cols, rows) = (grid.cols as i32 * 2, grid.rows as i32 * 2);
        let mut cells = vec![0.0f32; (cols * rows) as usize];
        for &Vote { from: (x, y), to: (u, v), weight } in votes {
            let (u, v) = (u - (a * x - b * y), v - (b * x + a * y));
            let col = (u - grid.area.x) / cell_w + grid.cols as f32 / 2.0 - 0.5;
            let row = (v - grid.area.y) / cell_h + grid.rows as f32 / 2.0 - 0.5;
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
        peaks.truncate(PEAKS);
        let (cx, cy) = self.tokens.bbox.center();
        let placed = |(_, at): (f32, i32)| {
            let x = ((at % cols) as f32 + 0.5 - grid.cols as f32 / 2.0) * cell_w + grid.area.x;
            let y = ((at / cols) as f32 + 0.5 - grid.rows as f32 / 2.0) * cell_h + grid.area.y;
            self.judged(view, a, b, (x - (a * cx - b * cy), y - (b * cx + a * cy)))
        };
        peaks.into_iter().map(placed).collect()
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
                if best.is_none_or(|held| reply.net() > held.net()) {
                    best = Some(reply);
                }
            }
        }
        best
    }

    /// What a place is worth to the tokens of this size, in the view that shows it best.
    fn verdict(&self, &Placement { a, b, dx, dy, .. }: &Placement) -> Option<StageScores> {
        let judged = (0..self.views.len()).map(|view| self.judged(view, a, b, (dx, dy)));
        let best = judged.max_by(|one, other| one.worth().total_cmp(&other.worth()))?;
        Some(StageScores { vote: best.vote, maxsim: self.maxsim, geometry: best.geometry })
    }

    fn judged(&self, view: usize, a: f32, b: f32, (dx, dy): (f32, f32)) -> Placement {
        let mut placement = Placement { a, b, dx, dy, geometry: 0.0, vote: 0.0 };
        let (mut geometry, mut vote, mut weights) = (0.0, 0.0, 0.0);
        for token in 0..self.tokens.len() {
            let weight = self.about.weights[token];
            let Some(reply) = self.expected(view, token, &placement) else {
                weights += UNSEEN * weight;
                continue;
            };
            weights += weight;
            geometry += weight * self.about.worth(token, reply.net());
            if reply.similarity >= self.best[token] - 1e-6 && reply.similarity > self.about.background[token]
            {
                vote += weight;
            }
        }
        if weights > 0.0 {
            (placement.geometry, placement.vote) = (geometry / weights, vote / weights);
        }
        placement
    }

    /// Least squares over the matches where they are expected, weighted by how far they stand out, repeated while it
    /// helps. The similarity transform keeps its aspect: coarse grids do not carry more.
    fn refine(&self, view: usize, mut placement: Placement) -> Placement {
        for _ in 0..REFINEMENTS {
            let Some((a, b, offset)) = self.fit(view, &placement) else { break };
            let growth = a.hypot(b) / placement.scale();
            if !(1.0 / MOST_GROWTH..=MOST_GROWTH).contains(&growth) {
                break;
            }
            let next = self.judged(view, a, b, offset);
            if next.worth() <= placement.worth() {
                break;
            }
            placement = next;
        }
        placement
    }

    /// The similarity transform of least weighted squares (Umeyama, PAMI 13(4), 1991, in two dimensions).
    fn fit(&self, view: usize, placement: &Placement) -> Option<(f32, f32, (f32, f32))> {
        let grid = &self.views[view].0;
        let mut points = Vec::with_capacity(self.tokens.len());
        for token in 0..self.tokens.len() {
            let Some(reply) = self.expected(view, token, placement) else { continue };
            let weight = self.about.weights[token] * self.about.worth(token, reply.similarity);
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
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for ((x, y), (u, v), weight) in points {
            let (x, y, u, v) = (x - query_x, y - query_y, u - image_x, v - image_y);
            along += weight * (x * u + y * v);
            across += weight * (x * v - y * u);
            spread += weight * (x * x + y * y);
        }
        let (a, b) = (along / spread, across / spread);
        let fits = spread > 0.0 && a.is_finite() && b.is_finite() && a > 0.0;
        let offset = (image_x - (a * query_x - b * query_y), image_y - (b * query_x + a * query_y));
        fits.then_some((a, b, offset))
    }
}

/// What a place that `scene` found is worth, as all sizes of its box judge it, on average: a size of few tokens finds a place for
/// anything. Where one of them is all but sure, it is the same picture, and the others only see it in another scale.
pub(super) fn agreed(scenes: &[Scene<'_>], scene: &Scene<'_>, placement: &Placement) -> StageScores {
    let sizes = scenes.iter().filter(|other| other.bbox() == scene.bbox());
    let judged: Vec<StageScores> = sizes.filter_map(|other| other.verdict(placement)).collect();
    let by_worth = |a: &&StageScores, b: &&StageScores| fused(a).total_cmp(&fused(b));
    let Some(surest) = judged.iter().max_by(by_worth) else { return StageScores::default() };
    let share = fused(surest).clamp(0.0, 1.0).powi(SURE);
    let blend = |of: fn(&StageScores) -> f32| {
        let mean = judged.iter().map(of).sum::<f32>() / judged.len() as f32;
        mean + share * (of(surest) - mean)
    };
    StageScores {
        vote: blend(|scores| scores.vote),
        maxsim: blend(|scores| scores.maxsim),
        geometry: blend(|scores| scores.geometry),
    }
}

/// One score of all stages.
pub(super) fn fused(scores: &StageScores) -> f32 {
    FUSION.vote * scores.vote + FUSION.maxsim * scores.maxsim + FUSION.geometry * scores.geometry
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
