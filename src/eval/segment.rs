//! Few-shot semantic segmentation by patches: each patch of the validation images gets the class of the patches of the training
//! images that it is most similar to, or that a linear probe gives it; predictions are scored pixel by pixel. With degradations it is
//! the robustness protocol: training images stay clean.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::degradation::Degradation;
use super::encoder::{Encoder, Mapping, cut, embed, open_picture};
use super::linear::LinearProbe;
use super::masks::{IGNORED, MaskSet, MaskedImage};
use super::measures::{Confusion, Mean};
use super::protocol_report::{Example, Panel, best_and_worst, means};
use super::workers::{pool, share};
use super::{EvalError, InOrder, Machine, ModelData, ProtocolReport, QueryFigures};
use crate::core::Bbox;
use crate::dims::Moments;
use crate::index::{HnswParameters, IndexKind, Neighbour, PatchIndex, Rows, Vectors};
use crate::model::Session;
use crate::picture::{Filter, LabelMap, Picture};

/// Classes at most: more are no classes, but instances.
const MOST_CLASSES: u16 = 1024;
/// Weight of a neighbour: e to the power of its similarity over this (Balažević et al., Towards In-context Scene Understanding, 2023).
const TEMPERATURE: f32 = 0.02;
/// Images that are embedded before they are predicted.
const AT_ONCE: usize = 8;

/// How classes are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predictor {
    /// The class of most of the nearest patches; of equally many the one that is nearest.
    Majority,
    /// Each of the nearest patches counts more the more similar it is.
    Weighted,
    /// Multinomial logistic regression.
    Linear,
}

/// How segmentation is measured.
pub struct SegmentOptions {
    /// Side of the tiles, in image pixels; the last ones of a row or column overlap those before, where sides are no multiples.
    pub tile_px: u32,
    /// Side of a tile as the model sees it, in pixels.
    pub input_px: u32,
    /// Size that images are brought to first: width and height.
    pub resize: Option<[u32; 2]>,
    /// What predicts.
    pub predictor: Predictor,
    /// Nearest patches that are asked.
    pub k: usize,
    /// The index that answers.
    pub index: &'static IndexKind,
    /// How hard an approximate one looks.
    pub ef: usize,
    /// What is done to validation images, beside leaving them clean.
    pub degradations: Vec<Degradation>,
    /// Draws noise.
    pub seed: u64,
    /// Images that are kept for a page: so many of the best, and of the worst.
    pub examples: usize,
}

/// The name of the protocol with and without degradations.
fn protocol(options: &SegmentOptions) -> &'static str {
    if options.degradations.is_empty() { "segment" } else { "robustness" }
}

/// An image, its classes, and its tiles.
struct Scene {
    picture: Picture,
    classes: LabelMap,
    tiles: Vec<Bbox>,
}

impl Scene {
    fn open(set: &MaskSet, image: &MaskedImage, options: &SegmentOptions) -> Result<Self, EvalError> {
        let mut picture = open_picture(&image.image)?;
        let mut classes = set.labels(image)?;
        if (classes.width, classes.height) != (picture.width, picture.height) {
            return Err(EvalError::OtherSize {
                file: image.labels.clone(),
                image: image.name.clone(),
                said: [classes.width, classes.height],
                found: [picture.width, picture.height],
            });
        }
        if let Some(most) = classes.labels.iter().copied().filter(|&class| class != IGNORED).max()
            && most >= MOST_CLASSES
        {
            return Err(EvalError::Classes { file: image.labels.clone(), most });
        }
        if let Some([width, height]) = options.resize {
            let whole = Bbox::of_image(picture.width, picture.height);
            picture = picture.resize(whole, width, height, Filter::Bicubic);
            classes = nearest(&classes, width, height);
        }
        let starts = |length: u32| -> Vec<u32> {
            let last = length.saturating_sub(options.tile_px);
            let mut starts: Vec<u32> = (0..last).step_by(options.tile_px as usize).collect();
            starts.push(last);
            starts
        };
        let (w, h) = (options.tile_px.min(picture.width) as f32, options.tile_px.min(picture.height) as f32);
        let (columns, rows) = (starts(picture.width), starts(picture.height));
        let tile = |(&x, &y): (&u32, &u32)| Bbox::new(x as f32, y as f32, w, h);
        let tiles = rows.iter().flat_map(|y| columns.iter().map(move |x| (x, y))).map(tile).collect();
        Ok(Self { picture, classes, tiles })
    }

    /// The class at the centre of each patch of a tile.
    fn patch_classes(&self, tile: &Bbox, rows: u32, cols: u32) -> Vec<u16> {
        let place = |start: f32, length: f32, at: u32, count: u32| {
            (start + (at as f32 + 0.5) / count as f32 * length) as u32
        };
        let class = |row: u32, col: u32| {
            self.classes.at(place(tile.x, tile.w, col, cols), place(tile.y, tile.h, row, rows))
        };
        (0..rows)
            .flat_map(|row| (0..cols).map(move |col| (row, col)))
            .map(|(row, col)| class(row, col))
            .collect()
    }
}

/// A label map in another size: each pixel takes what lies at its centre.
fn nearest(map: &LabelMap, width: u32, height: u32) -> LabelMap {
    let place = |at: u32, count: u32, length: u32| {
        ((f64::from(at) + 0.5) / f64::from(count) * f64::from(length)) as u32
    };
    let label = |(y, x): (u32, u32)| map.at(place(x, width, map.width), place(y, height, map.height));
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    LabelMap { width, height, labels: places.map(label).collect() }
}

/// Tokens of the tiles of an image.
struct Embedded {
    scene: Scene,
    rows: u32,
    cols: u32,
    tiles: Vec<Vec<f32>>,
}

/// Embeds images, with or without a degradation.
struct Embedding<'a> {
    encoder: &'a Encoder,
    options: &'a SegmentOptions,
}

impl Embedding<'_> {
    fn of(
        &self,
        set: &MaskSet,
        at: usize,
        degradation: Option<Degradation>,
        session: &mut Session,
    ) -> Result<Embedded, EvalError> {
        let Self { encoder, options } = self;
        let scene = Scene::open(set, &set.images[at], options)?;
        let (mut tiles, mut size) = (Vec::with_capacity(scene.tiles.len()), (0, 0));
        for (number, area) in scene.tiles.iter().enumerate() {
            let tile = cut(&scene.picture, *area);
            let tile = match degradation {
                Some(degradation) => {
                    degradation.apply(&tile, options.seed ^ (((at as u64) << 20) + number as u64))
                }
                None => tile,
            };
            let input = tile.resize(
                Bbox::of_image(tile.width, tile.height),
                options.input_px,
                options.input_px,
                encoder.model.spec.image.filter,
            );
            let whole = Bbox::of_image(options.input_px, options.input_px);
            let tokens = embed(&encoder.model, session, &input, whole, options.input_px)?;
            size = (tokens.rows, tokens.cols);
            tiles.push(tokens.values);
        }
        Ok(Embedded { scene, rows: size.0, cols: size.1, tiles })
    }
}

/// What gives patches their classes.
enum Trained<'a> {
    Nearest { index: Box<dyn PatchIndex + 'a>, classes: &'a [u16], k: usize, ef: usize, weighted: bool },
    Linear(LinearProbe),
}

impl Trained<'_> {
    fn classes(&self, vectors: &[f32]) -> Vec<u16> {
        match self {
            Self::Linear(probe) => probe.classes(vectors),
            Self::Nearest { index, classes, k, ef, weighted } => {
                let found = index.search_many(vectors, *k, *ef);
                found.iter().map(|found| vote(found, classes, *weighted)).collect()
            }
        }
    }
}

/// The class that the neighbours, nearest first, have together.
fn vote(found: &[Neighbour], classes: &[u16], weighted: bool) -> u16 {
    let best = found.first().map_or(0.0, |first| first.similarity);
    let mut votes: Vec<(u16, f32)> = Vec::new();
    for neighbour in found {
        let class = classes[neighbour.row as usize];
        let weight = if weighted { ((neighbour.similarity - best) / TEMPERATURE).exp() } else { 1.0 };
        match votes.iter_mut().find(|(own, _)| *own == class) {
            Some((_, votes)) => *votes += weight,
            None => votes.push((class, weight)),
        }
    }
    // Of equal ones the first, which has the nearest neighbour.
    let more = |best: (u16, f32), one: (u16, f32)| if one.1 > best.1 { one } else { best };
    votes.into_iter().reduce(more).map_or(IGNORED, |(class, _)| class)
}

/// Segments the images of `validation` by those of `training`. `progress` is told how many of how many images are done.
///
/// # Errors
/// Images and labels of different sizes, labels that are no classes, training images of one class, a model that fails.
pub fn run_segment(
    training: &MaskSet,
    validation: &MaskSet,
    encoder: &Encoder,
    options: &SegmentOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<ProtocolReport, EvalError> {
    let start = Instant::now();
    let (pool, mut sessions) = (pool(encoder.threads()), encoder.sessions()?);
    let embedding = Embedding { encoder, options };
    let conditions: Vec<Option<Degradation>> =
        std::iter::once(None).chain(options.degradations.iter().copied().map(Some)).collect();
    let (trained_on, shown) = (training.images.len(), validation.images.len());
    let steps = trained_on + shown * conditions.len();
    let dim = encoder.model.spec.hidden_size;
    let patches = |session: &mut &mut Session, at: usize| {
        let seen = embedding.of(training, at, None, session)?;
        Ok::<_, EvalError>(labelled_patches(&seen, dim))
    };
    let parts = share(sessions.iter_mut().collect(), trained_on, patches, &mut |done| progress(done, steps))?;
    let (tokens, classes): (Vec<Vec<f32>>, Vec<Vec<u16>>) = parts.into_iter().unzip();
    let classes = classes.concat();
    if classes.iter().all(|&class| class == classes[0]) {
        return Err(EvalError::OneClass { folder: training.folder.clone() });
    }
    let blocks: Vec<&[f32]> = tokens.iter().map(Vec::as_slice).collect();
    let mapping = pool.install(|| encoder.mapping(|| Moments::of_blocks(&blocks, dim)))?;
    let mut vectors = Vec::with_capacity(classes.len() * mapping.dim());
    // Image by image, so that the tokens of all and the vectors of all are never there together.
    tokens.into_iter().for_each(|tokens| vectors.extend(mapping.vectors(&tokens)));
    let trained = pool.install(|| train(&vectors, &classes, &mapping, options));

    let mut scored: Vec<Vec<Confusion>> = Vec::new();
    let mut shown_clean: Vec<Shown> = Vec::new();
    for (step, &degradation) in conditions.iter().enumerate() {
        let mut of_condition = Vec::with_capacity(shown);
        let at_once = AT_ONCE.max(sessions.len());
        for first in (0..shown).step_by(at_once) {
            let count = at_once.min(shown - first);
            let before = trained_on + step * shown + first;
            let embed = |session: &mut &mut Session, at: usize| {
                embedding.of(validation, first + at, degradation, session)
            };
            let seen = share(sessions.iter_mut().collect(), count, embed, &mut |done| {
                progress(before + done, steps)
            })?;
            for seen in seen {
                let predicted = pool.install(|| predict(&seen, &trained, &mapping));
                let confusion = Confusion::of(&seen.scene.classes.labels, &predicted, IGNORED);
                if degradation.is_none() && options.examples > 0 {
                    let Scene { picture, classes: truth, .. } = seen.scene;
                    let (at, confusion) = (of_condition.len(), confusion.clone());
                    shown_clean.push(Shown { at, picture, truth, predicted, confusion });
                    keep_ends(&mut shown_clean, options.examples);
                }
                of_condition.push(confusion);
            }
        }
        scored.push(of_condition);
    }
    let named = |degradation: &Option<Degradation>| degradation.as_ref().map(Degradation::name);
    let names: Vec<Option<String>> = conditions.iter().map(named).collect();
    let per_query = per_query(validation, &names, &scored);
    Ok(ProtocolReport {
        protocol: protocol(options),
        data: data(training, validation, &classes),
        model: ModelData::of_encoder(encoder, &mapping),
        dims_dropped: mapping.preparation.dims_dropped(),
        options: told(options),
        machine: Machine::this(),
        seconds: start.elapsed().as_secs_f64(),
        metrics: metrics(&names, &scored, &per_query),
        per_query,
        examples: examples(validation, &shown_clean, options),
    })
}

/// Tokens and classes of the patches of an image that have one that counts.
fn labelled_patches(seen: &Embedded, dim: usize) -> (Vec<f32>, Vec<u16>) {
    let (mut tokens, mut classes) = (Vec::new(), Vec::new());
    for (area, of_tile) in seen.scene.tiles.iter().zip(&seen.tiles) {
        let of_patches = seen.scene.patch_classes(area, seen.rows, seen.cols);
        for (token, class) in of_tile.chunks_exact(dim).zip(of_patches) {
            if class != IGNORED {
                tokens.extend_from_slice(token);
                classes.push(class);
            }
        }
    }
    (tokens, classes)
}

fn train<'a>(
    vectors: &'a [f32],
    classes: &'a [u16],
    mapping: &Mapping,
    options: &SegmentOptions,
) -> Trained<'a> {
    let SegmentOptions { k, ef, .. } = *options;
    match options.predictor {
        Predictor::Linear => {
            let count = classes.iter().max().map_or(1, |&most| usize::from(most) + 1);
            Trained::Linear(LinearProbe::train(vectors, mapping.dim(), classes, count))
        }
        predictor => {
            let rows = Vectors { rows: Rows::F32(vectors), dim: mapping.dim(), metric: mapping.metric };
            let index = (options.index.build)(rows, &HnswParameters::default());
            Trained::Nearest { index, classes, k, ef, weighted: predictor == Predictor::Weighted }
        }
    }
}

/// The class of every pixel of an image: that of the patch which covers it.
fn predict(seen: &Embedded, trained: &Trained<'_>, mapping: &Mapping) -> Vec<u16> {
    let Picture { width, height, .. } = seen.scene.picture;
    let mut pixels = vec![IGNORED; width as usize * height as usize];
    for (area, tokens) in seen.scene.tiles.iter().zip(&seen.tiles) {
        let classes = trained.classes(&mapping.vectors(tokens));
        let patch = |at: u32, length: f32, count: u32| ((at as f32 + 0.5) / length * count as f32) as usize;
        for y in 0..area.h as u32 {
            let line = patch(y, area.h, seen.rows) * seen.cols as usize;
            let first = (area.y as u32 + y) as usize * width as usize + area.x as usize;
            for x in 0..area.w as u32 {
                pixels[first + x as usize] = classes[line + patch(x, area.w, seen.cols)];
            }
        }
    }
    pixels
}

/// `miou.blur.2`, or `miou` of clean images.
fn name(measure: &str, condition: &Option<String>) -> String {
    condition.as_ref().map_or_else(|| measure.to_owned(), |condition| format!("{measure}.{condition}"))
}

/// Of all images together, with intervals by drawing images anew; then means of what each image has alone.
fn metrics(names: &[Option<String>], scored: &[Vec<Confusion>], per_query: &[QueryFigures]) -> InOrder<Mean> {
    type Figure = fn(&Confusion) -> Option<f64>;
    let pooled = |images: &[Confusion], of: &dyn Fn(&Confusion) -> Option<f64>| {
        let statistic = |drawn: &[usize]| of(&Confusion::sum(drawn.iter().map(|&at| &images[at])));
        Mean::of_statistic(images.len(), statistic)
    };
    let mut metrics = Vec::new();
    for (measure, of) in [("miou", Confusion::mean_iou as Figure), ("pixel_accuracy", Confusion::accuracy)] {
        for (condition, images) in names.iter().zip(scored) {
            metrics.extend(pooled(images, &of).map(|mean| (name(measure, condition), mean)));
        }
    }
    for class in Confusion::sum(scored[0].iter()).classes() {
        let mean = pooled(&scored[0], &|all: &Confusion| all.iou(class));
        metrics.extend(mean.map(|mean| (format!("iou.class.{class}"), mean)));
    }
    metrics.extend(means(per_query).0);
    InOrder(metrics)
}

/// Of each image alone. The mean of these is another figure than that of all images together, and has another name.
fn per_query(set: &MaskSet, names: &[Option<String>], scored: &[Vec<Confusion>]) -> Vec<QueryFigures> {
    let figures = |(at, image): (usize, &MaskedImage)| {
        let of_condition = |(condition, images): (&Option<String>, &Vec<Confusion>)| {
            [("image_miou", images[at].mean_iou()), ("image_pixel_accuracy", images[at].accuracy())]
                .map(|(measure, value)| (name(measure, condition), value))
        };
        let metrics = names.iter().zip(scored).flat_map(of_condition).collect();
        QueryFigures { query: image.name.clone(), group: None, metrics: InOrder(metrics) }
    };
    set.images.iter().enumerate().map(figures).collect()
}

/// An unchanged image, and what was made of it.
struct Shown {
    /// Its place among the images.
    at: usize,
    picture: Picture,
    truth: LabelMap,
    predicted: Vec<u16>,
    confusion: Confusion,
}

impl Shown {
    fn miou(&self) -> f64 {
        self.confusion.mean_iou().unwrap_or(0.0)
    }
}

/// Of a list that was in order and got one more: the `count` best and the `count` worst, in order.
fn keep_ends(shown: &mut Vec<Shown>, count: usize) {
    shown.sort_by(|a, b| b.miou().total_cmp(&a.miou()));
    if shown.len() > 2 * count {
        shown.remove(count);
    }
}

/// The unchanged images that are segmented best and worst: beside each its true and its predicted classes.
fn examples(set: &MaskSet, shown: &[Shown], options: &SegmentOptions) -> Vec<Example> {
    let example = |shown: &Shown| {
        let panel = |picture: Picture| Panel { picture, marks: Vec::new() };
        Example {
            caption: format!(
                "{}: mIoU {:.3}, {:.1} % of pixels; the image, its classes, what was predicted",
                set.images[shown.at].name,
                shown.miou(),
                100.0 * shown.confusion.accuracy().unwrap_or(0.0)
            ),
            panels: vec![
                panel(shown.picture.clone()),
                panel(tinted(&shown.picture, &shown.truth.labels)),
                panel(tinted(&shown.picture, &shown.predicted)),
            ],
        }
    };
    best_and_worst(shown, options.examples).map(example).collect()
}

/// A picture with the colours of classes over it; what is ignored stays as it is.
pub(super) fn tinted(picture: &Picture, classes: &[u16]) -> Picture {
    let colour = |class: u16| {
        // Golden-angle steps around the colour circle: neighbours differ.
        let hue = f64::from(class) * 137.508 % 360.0 / 60.0;
        let ramp = |offset: f64| (((hue + offset) % 6.0 - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        [ramp(0.0), ramp(4.0), ramp(2.0)].map(|part| 255.0 * part)
    };
    let pixel = |(rgb, &class): (&[u8], &u16)| -> [u8; 3] {
        if class == IGNORED {
            return [rgb[0], rgb[1], rgb[2]];
        }
        let over = colour(class);
        std::array::from_fn(|at| (0.4 * f64::from(rgb[at]) + 0.6 * over[at]) as u8)
    };
    let rgb = picture.rgb.chunks_exact(3).zip(classes).flat_map(pixel).collect();
    Picture { rgb, ..*picture }
}

fn data(training: &MaskSet, validation: &MaskSet, classes: &[u16]) -> InOrder<Value> {
    let different: BTreeSet<u16> = classes.iter().copied().collect();
    let facts = [
        ("training", json!(training.folder.display().to_string())),
        ("training_images", json!(training.images.len())),
        ("training_patches", json!(classes.len())),
        ("training_classes", json!(different)),
        ("training_digest", json!(training.digest)),
        ("validation", json!(validation.folder.display().to_string())),
        ("validation_images", json!(validation.images.len())),
        ("validation_digest", json!(validation.digest)),
        ("layout", json!(training.layout)),
    ];
    InOrder::named_as(facts)
}

fn told(options: &SegmentOptions) -> InOrder<Value> {
    let predictor = match options.predictor {
        Predictor::Majority => "majority",
        Predictor::Weighted => "weighted",
        Predictor::Linear => "linear",
    };
    let facts = [
        ("tile_px", json!(options.tile_px)),
        ("input_px", json!(options.input_px)),
        ("resize", json!(options.resize)),
        ("predictor", json!(predictor)),
        ("k", if options.predictor == Predictor::Linear { Value::Null } else { json!(options.k) }),
        ("index", json!(options.index.name)),
        ("ef", if options.index.is_exact { Value::Null } else { json!(options.ef) }),
        ("seed", json!(options.seed)),
    ];
    InOrder::named_as(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_go_to_most_then_to_the_nearest_or_by_weight() {
        let classes = [5, 7, 7, 9];
        let near = |row: u64, similarity: f32| Neighbour { row, similarity };
        let found = [near(0, 0.9), near(1, 0.5), near(2, 0.49), near(3, 0.4)];
        assert_eq!(vote(&found, &classes, false), 7);
        assert_eq!(vote(&found, &classes, true), 5);
        assert_eq!(vote(&found[..2], &classes, false), 5);
        assert_eq!(vote(&[], &classes, false), IGNORED);
    }

    #[test]
    fn a_smaller_map_takes_what_lies_at_the_centres() {
        let map = LabelMap { width: 4, height: 2, labels: vec![0, 1, 2, 3, 4, 5, 6, 7] };
        assert_eq!(nearest(&map, 2, 1).labels, [5, 7]);
        assert_eq!(nearest(&map, 4, 2), map);
    }
}
