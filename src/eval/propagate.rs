//! Label propagation in a video, as DINO was measured with on DAVIS (Caron et al., 2021): the objects of the first frame are carried from
//! frame to frame by the patches that are most similar. No training, no motion.

use std::collections::VecDeque;
use std::time::Instant;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::encoder::{Encoder, Mapping, embed, open_picture};
use super::labels::{MaskedFrame, MaskedVideos};
use super::measures::{Mean, Part, Regions};
use super::protocol_report::{Example, Panel, best_and_worst};
use super::segment::tinted;
use super::workers::{pool, share};
use super::{EvalError, InOrder, Machine, ModelData, ProtocolReport, QueryFigures};
use crate::core::{Bbox, Grid};
use crate::dims::Moments;
use crate::model::Session;
use crate::picture::{LabelMap, Picture};

/// What a neighbour counts: e to the power of its similarity over this.
const TEMPERATURE: f32 = 0.1;
/// The class of pixels that do not count.
const VOID: u16 = 255;

/// How labels are propagated.
#[derive(Clone, Debug)]
pub struct PropagateOptions {
    /// Long side of a frame as the model sees it, in pixels.
    pub long_side_px: u32,
    /// Frames before a frame that it is compared with, beside the first one.
    pub context: usize,
    /// How far away a patch may have come from, in patches along each side.
    pub radius: u32,
    /// Patches that a patch has its labels of.
    pub k: usize,
    /// Videos that are kept for a page: so many of the best, and of the worst.
    pub examples: usize,
}

/// Patches of a frame, and for each the share of every object; of what is none first.
struct Labelled {
    vectors: Vec<f32>,
    shares: Vec<f32>,
}

/// J and F of an object, of each frame that counts.
struct Judged {
    object: u16,
    figures: Vec<[f64; 2]>,
}

/// What came of a video.
struct Propagated {
    objects: Vec<Judged>,
    /// The frame in the middle, where it is kept.
    shown: Option<Shown>,
}

/// A frame, its true labels, and those that were propagated.
struct Shown {
    picture: Picture,
    truth: Vec<u16>,
    found: Vec<u16>,
}

/// Propagates the objects of the first frame of every video. `progress` is told how many of how many videos are done.
///
/// # Errors
/// Frames that cannot be read or are of different sizes, a model that fails, no object in any first frame.
pub fn run_propagate(
    set: &MaskedVideos,
    encoder: &Encoder,
    options: &PropagateOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ProtocolReport, EvalError> {
    let start = Instant::now();
    let count = set.videos.len();
    let pool = pool(encoder.threads());
    let passes = if encoder.is_fitted_here() { 2 } else { 1 };
    let mut moments = Moments::empty(encoder.model.spec.hidden_size);
    if encoder.is_fitted_here() {
        let of_video =
            |session: &mut Session, at: usize| moments_of(&set.videos[at].1, encoder, session, options);
        let parts = share(encoder.sessions()?, count, of_video, &mut |done| progress(done, count * passes))?;
        parts.iter().for_each(|part| moments.merge(part));
    }
    let mapping = encoder.mapping(|| moments)?;
    let of_video = |session: &mut Session, at: usize| {
        let seen = Video { frames: &set.videos[at].1, encoder, mapping: &mapping, options };
        pool.install(|| seen.propagated(session))
    };
    let before = count * (passes - 1);
    let told = &mut |done| progress(before + done, count * passes);
    let videos = share(encoder.sessions()?, count, of_video, told)?;
    let per_query = per_query(set, &videos);
    if per_query.is_empty() {
        return Err(EvalError::NoFirstObject { set: set.folder.clone() });
    }
    Ok(ProtocolReport {
        protocol: "propagate",
        data: data(set, per_query.len()),
        model: ModelData::of_encoder(encoder, &mapping),
        dims_dropped: mapping.preparation.dims_dropped(),
        options: told_options(options),
        machine: Machine::this(),
        seconds: start.elapsed().as_secs_f64(),
        metrics: metrics(&per_query),
        examples: examples(set, videos, options),
        per_query,
    })
}

fn moments_of(
    frames: &[MaskedFrame],
    encoder: &Encoder,
    session: &mut Session,
    options: &PropagateOptions,
) -> Result<Moments, EvalError> {
    let dim = encoder.model.spec.hidden_size;
    let mut moments = Moments::empty(dim);
    for frame in frames {
        let picture = open_picture(&frame.image)?;
        let whole = Bbox::of_image(picture.width, picture.height);
        let tokens = embed(&encoder.model, session, &picture, whole, options.long_side_px)?;
        moments.merge(&Moments::of_rows(&tokens.values, dim));
    }
    Ok(moments)
}

/// A video as it is propagated.
struct Video<'a> {
    frames: &'a [MaskedFrame],
    encoder: &'a Encoder,
    mapping: &'a Mapping,
    options: &'a PropagateOptions,
}

impl Video<'_> {
    fn propagated(&self, session: &mut Session) -> Result<Propagated, EvalError> {
        let Some(first) = self.frames.first() else {
            return Ok(Propagated { objects: Vec::new(), shown: None });
        };
        let truth = first.labels()?;
        let mut objects: Vec<u16> =
            truth.labels.iter().copied().filter(|&object| object != 0 && object != VOID).collect();
        objects.sort_unstable();
        objects.dedup();
        let classes = objects.len() + 1;
        let (_, grid, vectors) = self.seen(first, &truth, session)?;
        let first = Labelled { vectors, shares: one_hot(&truth, &grid, &objects) };
        let mut judged: Vec<Judged> =
            objects.iter().map(|&object| Judged { object, figures: Vec::new() }).collect();
        let (mut context, mut shown) = (VecDeque::new(), None);
        for (number, frame) in self.frames.iter().enumerate().skip(1) {
            let truth = frame.labels()?;
            let (picture, of_frame, vectors) = self.seen(frame, &truth, session)?;
            if of_frame != grid {
                return Err(EvalError::OtherSize {
                    file: frame.mask.clone(),
                    image: frame.image.display().to_string(),
                    said: [grid.area.w as u32, grid.area.h as u32],
                    found: [truth.width, truth.height],
                });
            }
            let sources: Vec<&Labelled> = std::iter::once(&first).chain(&context).collect();
            let shares = self.carried(&vectors, &sources, &grid, classes);
            let labels = labels_of(&shares, &grid, classes, &objects);
            // Neither the first frame nor the last one counts.
            if number + 1 < self.frames.len() {
                judge(&mut judged, &labels, &truth);
            }
            if number == self.frames.len() / 2 && self.options.examples > 0 {
                shown = Some(Shown { picture, truth: truth.labels, found: labels });
            }
            context.push_back(Labelled { vectors, shares });
            if context.len() > self.options.context {
                context.pop_front();
            }
        }
        Ok(Propagated { objects: judged, shown })
    }

    /// A frame, its patches, and their vectors.
    fn seen(
        &self,
        frame: &MaskedFrame,
        truth: &LabelMap,
        session: &mut Session,
    ) -> Result<(Picture, Grid, Vec<f32>), EvalError> {
        let picture = open_picture(&frame.image)?;
        if (truth.width, truth.height) != (picture.width, picture.height) {
            return Err(EvalError::OtherSize {
                file: frame.mask.clone(),
                image: frame.image.display().to_string(),
                said: [truth.width, truth.height],
                found: [picture.width, picture.height],
            });
        }
        let whole = Bbox::of_image(picture.width, picture.height);
        let tokens = embed(&self.encoder.model, session, &picture, whole, self.options.long_side_px)?;
        let grid = Grid { area: whole, rows: tokens.rows, cols: tokens.cols };
        Ok((picture, grid, self.mapping.vectors(&tokens.values)))
    }

    /// For each patch the shares of the objects: those of the most similar patches near its place in the `sources`.
    fn carried(&self, vectors: &[f32], sources: &[&Labelled], grid: &Grid, classes: usize) -> Vec<f32> {
        let (dim, radius) = (self.mapping.dim(), self.options.radius as usize);
        let (rows, cols) = (grid.rows as usize, grid.cols as usize);
        let of_patch = |patch: usize| {
            let (row, col) = (patch / cols, patch % cols);
            let own = &vectors[patch * dim..][..dim];
            let mut near: Vec<(f32, usize, usize)> = Vec::new();
            for (place, source) in sources.iter().enumerate() {
                for other in row.saturating_sub(radius)..(row + radius + 1).min(rows) {
                    for at in col.saturating_sub(radius)..(col + radius + 1).min(cols) {
                        let at = other * cols + at;
                        let theirs = &source.vectors[at * dim..][..dim];
                        near.push((own.iter().zip(theirs).map(|(a, b)| a * b).sum(), place, at));
                    }
                }
            }
            // Of equal ones the earlier frame, then the earlier patch.
            near.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
            near.truncate(self.options.k);
            let weight = |similarity: f32| ((similarity - near[0].0) / TEMPERATURE).exp();
            let total: f32 = near.iter().map(|one| weight(one.0)).sum();
            let mut shares = vec![0.0; classes];
            for &(similarity, place, at) in &near {
                let theirs = &sources[place].shares[at * classes..][..classes];
                shares
                    .iter_mut()
                    .zip(theirs)
                    .for_each(|(own, theirs)| *own += weight(similarity) / total * theirs);
            }
            shares
        };
        (0..rows * cols).into_par_iter().flat_map_iter(of_patch).collect()
    }
}

/// The object at the centre of each patch, as shares.
fn one_hot(truth: &LabelMap, grid: &Grid, objects: &[u16]) -> Vec<f32> {
    let classes = objects.len() + 1;
    let mut shares = vec![0.0; grid.len() * classes];
    for (patch, shares) in shares.chunks_exact_mut(classes).enumerate() {
        let (x, y) = grid.patch_box(patch).center();
        let at = truth.at((x as u32).min(truth.width - 1), (y as u32).min(truth.height - 1));
        shares[objects.iter().position(|&object| object == at).map_or(0, |place| place + 1)] = 1.0;
    }
    shares
}

/// The object of every pixel: shares of patches, interpolated, brought to 0 to 1 for each object alone, the largest of a pixel.
fn labels_of(shares: &[f32], grid: &Grid, classes: usize, objects: &[u16]) -> Vec<u16> {
    let (width, height) = (grid.area.w as usize, grid.area.h as usize);
    let along = |length: usize, count: u32| -> Vec<(usize, usize, f32)> {
        let place = |at: usize| {
            let cell =
                ((at as f32 + 0.5) * count as f32 / length as f32 - 0.5).clamp(0.0, (count - 1) as f32);
            let low = cell as usize;
            (low, (low + 1).min(count as usize - 1), cell - low as f32)
        };
        (0..length).map(place).collect()
    };
    let (columns, rows) = (along(width, grid.cols), along(height, grid.rows));
    let mut best = vec![(f32::NEG_INFINITY, 0u16); width * height];
    for class in 0..classes {
        let share = |row: usize, col: usize| shares[(row * grid.cols as usize + col) * classes + class];
        let pixel = |&(top, low, down): &(usize, usize, f32),
                     &(left, right, across): &(usize, usize, f32)| {
            let line = |row: usize| share(row, left) * (1.0 - across) + share(row, right) * across;
            line(top) * (1.0 - down) + line(low) * down
        };
        let map: Vec<f32> =
            rows.iter().flat_map(|row| columns.iter().map(move |column| pixel(row, column))).collect();
        let least = map.iter().copied().fold(f32::INFINITY, f32::min);
        let most = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let object = if class == 0 { 0 } else { objects[class - 1] };
        for (best, share) in best.iter_mut().zip(map) {
            let share = if most > least { (share - least) / (most - least) } else { share };
            if share > best.0 {
                *best = (share, object);
            }
        }
    }
    best.into_iter().map(|(_, object)| object).collect()
}

/// Adds the figures of a frame.
fn judge(judged: &mut [Judged], labels: &[u16], truth: &LabelMap) {
    let figures = |object: u16| {
        let region = |labels: &[u16]| labels.iter().map(|&own| own == object).collect::<Vec<bool>>();
        let (found, truth_of) = (region(labels), region(&truth.labels));
        let regions = Regions { width: truth.width as usize, found: &found, truth: &truth_of };
        [regions.jaccard(), regions.contour()]
    };
    judged.par_iter_mut().for_each(|one| one.figures.push(figures(one.object)));
}

/// Each object of each video.
fn per_query(set: &MaskedVideos, videos: &[Propagated]) -> Vec<QueryFigures> {
    let of_video = |((name, _), video): (&(String, Vec<MaskedFrame>), &Propagated)| {
        let object = |judged: &Judged| {
            let count = judged.figures.len() as f64;
            let mean = |at: usize| judged.figures.iter().map(|figures| figures[at]).sum::<f64>() / count;
            let [j, f] = [0, 1].map(mean);
            let metrics = [("jf", (j + f) / 2.0), ("j", j), ("f", f)];
            (count > 0.0).then(|| QueryFigures {
                query: format!("{name}/{}", judged.object),
                group: Some(name.clone()),
                metrics: InOrder(metrics.map(|(name, value)| (name.to_owned(), Some(value))).into()),
            })
        };
        video.objects.iter().filter_map(object).collect::<Vec<_>>()
    };
    set.videos.iter().zip(videos).flat_map(of_video).collect()
}

/// Means over the objects, whose videos are drawn.
fn metrics(per_query: &[QueryFigures]) -> InOrder<Mean> {
    let mut groups: Vec<&Option<String>> = per_query.iter().map(|query| &query.group).collect();
    groups.dedup();
    let mean = |name: &str| {
        let part = |query: &QueryFigures| {
            let right = query.metrics.named(name).copied().flatten()?;
            let group = groups.iter().position(|group| **group == query.group)?;
            Some(Part { right, asked: 1.0, group })
        };
        Mean::of_groups(&per_query.iter().filter_map(part).collect::<Vec<Part>>())
    };
    InOrder(["jf", "j", "f"].into_iter().filter_map(|name| Some((name.to_owned(), mean(name)?))).collect())
}

/// The videos that are propagated best and worst.
fn examples(set: &MaskedVideos, videos: Vec<Propagated>, options: &PropagateOptions) -> Vec<Example> {
    let mean = |video: &Propagated| {
        let all: Vec<f64> =
            video.objects.iter().flat_map(|object| &object.figures).map(|[j, f]| (j + f) / 2.0).collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    };
    let mut order: Vec<(f64, &String, Shown)> = videos
        .into_iter()
        .zip(&set.videos)
        .filter_map(|(video, (name, _))| Some((mean(&video), name, video.shown?)))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let example = |(jf, name, Shown { picture, truth, found }): &(f64, &String, Shown)| {
        let over = |labels: &[u16]| {
            let shown: Vec<u16> = labels.iter().map(|&label| if label == 0 { VOID } else { label }).collect();
            Panel { picture: tinted(picture, &shown), marks: Vec::new() }
        };
        Example {
            caption: format!(
                "{name}: J&F {jf:.3}; the frame in the middle, its objects, what was propagated"
            ),
            panels: vec![Panel { picture: picture.clone(), marks: Vec::new() }, over(truth), over(found)],
        }
    };
    best_and_worst(&order, options.examples).map(example).collect()
}

fn data(set: &MaskedVideos, objects: usize) -> InOrder<Value> {
    let facts = [
        ("videos", json!(set.folder.display().to_string())),
        ("form", json!("DAVIS")),
        ("digest", json!(set.digest)),
        ("used", json!(set.videos.len())),
        ("frames", json!(set.videos.iter().map(|(_, frames)| frames.len()).sum::<usize>())),
        ("objects", json!(objects)),
    ];
    InOrder::named_as(facts)
}

fn told_options(options: &PropagateOptions) -> InOrder<Value> {
    let facts = [
        ("long_side_px", json!(options.long_side_px)),
        ("context", json!(options.context)),
        ("radius", json!(options.radius)),
        ("k", json!(options.k)),
        ("temperature", json!(TEMPERATURE)),
    ];
    InOrder::named_as(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_patches_become_objects_of_pixels() {
        let grid = Grid { area: Bbox::new(0.0, 0.0, 40.0, 20.0), rows: 2, cols: 4 };
        let mut truth = LabelMap { width: 40, height: 20, labels: vec![0; 800] };
        for (at, label) in truth.labels.iter_mut().enumerate() {
            *label = if at % 40 >= 20 { 7 } else { 0 };
        }
        truth.labels[799] = VOID;
        let shares = one_hot(&truth, &grid, &[7]);
        assert_eq!(shares, [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0].repeat(2));
        let labels = labels_of(&shares, &grid, 2, &[7]);
        truth.labels[799] = 7;
        assert_eq!(labels, truth.labels);
    }
}
