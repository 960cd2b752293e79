//! Object instance retrieval, crop form: every labelled box of a set of queries is asked as 'patchdex query' asks, and the
//! ranked boxes are judged against the boxes of the same instance in a labelled gallery. Images count by their first hit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use rayon::ThreadPool;
use serde::Serialize;

use super::measures::{BoxRanking, Calibration, Mean, Place, Ranking, Relevance, percentile};
use super::retrieve_report::{
    Absent, AbsentQuery, InOrder, JudgedHit, QueryReport, RetrieveReport, RetrieveSetup, Slice, StageTimes,
    Variant,
};
use super::slices::SLICES;
use super::truth::{GroundTruth, Right, Target, check_size};
use super::workers::{pool, share};
use super::{EvalError, Grade, LabelledBox, LabelledImage, LabelledSet, Machine};
use crate::core::drawn;
use crate::engine::{Engine, Question};
use crate::picture::{Limits, decode, header};
use crate::query::{Patience, Plan, Stage, TimingMs};
use crate::storage::StorageError;

/// How retrieval is measured.
#[derive(Clone, Debug)]
pub struct RetrieveOptions {
    /// Frames of a query's video that are less than this away are junk.
    pub gap: u32,
    /// Which images are right, where the gallery says how hard they are; none: it does not.
    pub difficulty: Option<Difficulty>,
    /// Intersections over union from which a box is right.
    pub ious: Vec<f64>,
    /// Queries that are asked, drawn by `seed`; none: all.
    pub limit: Option<usize>,
    /// Draws the queries.
    pub seed: u64,
    /// Threads, shared evenly by the queries that are asked at the same time.
    pub threads: usize,
    /// Queries that are asked at the same time.
    pub at_once: usize,
    /// Whether queries are asked once more with everything hidden that is right: how often something is found that is not there.
    pub absent: bool,
    /// Stages of the plan that are left out in turn, to ask all queries once more.
    pub without: Vec<Stage>,
    /// How they are asked; its `top` is raised by the hits in junk images.
    pub plan: Plan,
}

/// Which images are right, as the revised Oxford and Paris ask; what is right otherwise is junk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Difficulty {
    /// The easy ones.
    Easy,
    /// The easy and the hard ones.
    Medium,
    /// The hard ones.
    Hard,
}

impl Difficulty {
    /// Each with its name.
    pub const ALL: [(&str, Self); 3] = [("easy", Self::Easy), ("medium", Self::Medium), ("hard", Self::Hard)];

    /// Whether images of a grade are right.
    pub(super) fn holds(self, grade: Grade) -> bool {
        match grade {
            Grade::Easy => self != Self::Hard,
            Grade::Hard => self != Self::Easy,
            Grade::Junk => false,
        }
    }
}

/// A figure of one query; none where it says nothing.
type Figure = Box<dyn Fn(&Judged) -> Option<f64>>;

/// A figure with its name.
struct Measure {
    name: String,
    of: Figure,
}

/// What one query's answer is worth.
struct Judged {
    ranking: Ranking,
    hits: Vec<Place>,
    truth: Vec<Place>,
    /// Whether it is known where in the images all of it is.
    is_located: bool,
    /// IoU of the first hit with a box of whatever instance.
    any_iou: f64,
}

/// What came of one query.
struct Answered {
    hits: Vec<(Place, JudgedHit)>,
    timing_ms: TimingMs,
    /// Whether its worker had been asked before: a first query also warms up.
    is_warm: bool,
    /// Kinds of index that were asked.
    index: String,
}

impl Answered {
    fn judged_hits(&self) -> Vec<JudgedHit> {
        self.hits.iter().map(|(_, hit)| hit.clone()).collect()
    }
}

/// First hits of a query whose probabilities are judged: as many as an answer shows.
const JUDGED_HITS: usize = 10;
/// Intersection over union from which a hit shows the object that its probability speaks of.
const SHOWS_IOU: f64 = 0.3;

/// A worker: an engine, and the threads that it runs on.
struct Asker {
    engine: Engine,
    pool: ThreadPool,
    is_warm: bool,
}

/// Asks all queries and judges the answers. `progress` is told how many of how many queries are done.
///
/// # Errors
/// Sets that do not fit the collection or each other, a query that cannot be asked, no query with anything to find.
pub fn run_retrieve(
    engine: Engine,
    gallery: &LabelledSet,
    queries: &LabelledSet,
    options: &RetrieveOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<RetrieveReport, EvalError> {
    let truth = GroundTruth::new(engine.collection(), gallery, options)?;
    let asked: Vec<&LabelledBox> = match options.limit.filter(|&limit| limit < queries.boxes.len()) {
        Some(limit) => {
            let chosen: BTreeSet<usize> =
                drawn(queries.boxes.len(), limit, options.seed).into_iter().collect();
            chosen.into_iter().map(|at| &queries.boxes[at]).collect()
        }
        None => queries.boxes.iter().collect(),
    };
    let contents = contents(queries, &asked)?;
    let image_of = |labelled: &LabelledBox| &queries.images[labelled.image];
    let all = asked.into_iter().map(|one| (one, truth.target(one, image_of(one), &contents[&one.image])));
    let (asked, without): (Vec<Asked<'_>>, Vec<Asked<'_>>) =
        all.partition(|(_, target)| !target.boxes.is_empty());
    if asked.is_empty() {
        let (queries, gallery) = (queries.file.clone(), gallery.file.clone());
        return Err(EvalError::NothingToFind { queries, gallery });
    }
    let setup = RetrieveSetup::of(&engine, gallery, queries, truth.distractors());
    let hidden = if options.absent { asked.len() + without.len() } else { 0 };
    let all = asked.len() * (1 + options.without.len()) + hidden;
    let mut before = 0;
    let at_once = options.at_once.clamp(1, asked.len());
    let mut ask_all = |queries_to_ask: &[&Asked<'_>], plan: &Plan, is_hidden: bool| {
        let workers = askers(&engine, at_once, options.threads)?;
        let ask = |worker: &mut Asker, at: usize| {
            let (labelled, target) = queries_to_ask[at];
            let question = Asking { image: image_of(labelled), labelled, target, is_hidden };
            answer(worker, &question, &truth, plan).map_err(|error| error.about(&queries.file, &labelled.id))
        };
        let answers = share(workers, queries_to_ask.len(), ask, &mut |done| progress(before + done, all));
        before += queries_to_ask.len();
        answers
    };
    let present: Vec<&Asked<'_>> = asked.iter().collect();
    let answers = ask_all(&present, &options.plan, false)?;
    let absent = match options.absent {
        true => ask_all(&asked.iter().chain(&without).collect::<Vec<_>>(), &options.plan, true)?,
        false => Vec::new(),
    };
    let measures = measures(&options.ious, options.plan.top);
    let judge_all = |answers: &[Answered]| -> Vec<Judged> {
        let judged = asked.iter().zip(answers);
        judged.filter_map(|((_, target), answer)| judge(answer, &target.boxes, &HashSet::new())).collect()
    };
    let variants = options.without.iter().map(|stage| {
        let answers = ask_all(&present, &options.plan.without(stage), false)?;
        let without = stage.name;
        let metrics = means(&measures, &judge_all(&answers));
        Ok(Variant { without, metrics, timing: StageTimes::of(&timings(&answers), at_once) })
    });
    let variants: Vec<Variant> = variants.collect::<Result<_, EvalError>>()?;
    let judged = judge_all(&answers);
    let per_query = asked.iter().zip(&answers).zip(&judged).map(|(((labelled, target), answer), judged)| {
        let image = image_of(labelled);
        QueryReport {
            query: labelled.id.clone(),
            image: image.name.clone(),
            path: image.path.clone(),
            bbox: labelled.bbox,
            instance: labelled.instance.clone(),
            positives: target.boxes.iter().map(|(_, place)| place.image).collect::<HashSet<_>>().len(),
            boxes: target.boxes.len(),
            junk: target.junk.len(),
            metrics: InOrder(
                measures.iter().map(|measure| (measure.name.clone(), (measure.of)(judged))).collect(),
            ),
            timing_ms: answer.timing_ms,
            hits: answer.judged_hits(),
        }
    });
    Ok(RetrieveReport {
        setup,
        machine: Machine::this(),
        options: options.clone(),
        index: answers.first().map(|answer| answer.index.clone()).unwrap_or_default(),
        left_out: without.iter().map(|(labelled, _)| labelled.id.clone()).collect(),
        metrics: means(&measures, &judged),
        slices: slices(&measures, &asked, &answers),
        timing: StageTimes::of(&timings(&answers), at_once),
        calibration: Calibration::of(&said(answers.iter().chain(&absent))),
        absent: what_is_not_there(
            &answers,
            &absent,
            asked.iter().chain(&without).map(|(labelled, _)| *labelled),
        ),
        variants,
        per_query: per_query.collect(),
    })
}

/// The probabilities of the first hits of answers, and whether they are right.
fn said<'a>(answers: impl Iterator<Item = &'a Answered>) -> Vec<(f64, bool)> {
    let hits = answers.flat_map(|answer| answer.hits.iter().take(JUDGED_HITS));
    hits.map(|(_, hit)| (f64::from(hit.probability), hit.shows(SHOWS_IOU))).collect()
}

/// How often something is found with a probability where nothing is right, beside where something is. None without such answers.
fn what_is_not_there<'a>(
    present: &[Answered],
    absent: &[Answered],
    asked: impl Iterator<Item = &'a LabelledBox>,
) -> Option<Absent> {
    let first = |answer: &Answered| answer.hits.first().map_or(0.0, |(_, hit)| f64::from(hit.probability));
    let found = |answers: &[Answered]| {
        Mean::of(&answers.iter().map(|answer| f64::from(first(answer) >= 0.5)).collect::<Vec<_>>())
    };
    let found_of_absent = found(absent)?;
    let mut firsts: Vec<f64> = absent.iter().map(first).collect();
    firsts.sort_by(f64::total_cmp);
    let one_percent = percentile(&firsts, 99.0);
    let above = |answer: &Answered| {
        let right: Vec<&JudgedHit> =
            answer.hits.iter().map(|(_, hit)| hit).filter(|hit| hit.relevant).collect();
        let passing = right.iter().filter(|hit| f64::from(hit.probability) > one_percent).count();
        passing as f64 / right.len().max(1) as f64
    };
    Some(Absent {
        queries: absent.len(),
        found: found_of_absent,
        found_present: found(present)?,
        one_percent,
        right_above: Mean::of(&present.iter().map(above).collect::<Vec<_>>())?,
        per_query: asked.zip(absent).map(|(labelled, answer)| absent_query(labelled, answer)).collect(),
    })
}

fn absent_query(labelled: &LabelledBox, answer: &Answered) -> AbsentQuery {
    AbsentQuery { query: labelled.id.clone(), hits: answer.judged_hits() }
}

/// As many workers, which share `threads`.
fn askers(engine: &Engine, count: usize, threads: usize) -> Result<Vec<Asker>, EvalError> {
    let each = (threads / count).max(1);
    (0..count).map(|_| Ok(Asker { engine: engine.beside(each)?, pool: pool(each), is_warm: false })).collect()
}

/// BLAKE3 of the files that queries are boxes of; each is there, an image, and of the size that its labels say.
fn contents(queries: &LabelledSet, asked: &[&LabelledBox]) -> Result<HashMap<usize, [u8; 32]>, EvalError> {
    let mut contents = HashMap::new();
    for labelled in asked {
        if contents.contains_key(&labelled.image) {
            continue;
        }
        let image = &queries.images[labelled.image];
        let bytes = read(image).map_err(|error| error.about(&queries.file, &labelled.id))?;
        let found = header(&bytes, &Limits::default()).map_err(|source| {
            EvalError::Picture { path: image.path.clone(), source }.about(&queries.file, &labelled.id)
        })?;
        check_size(queries, image, found.width, found.height)?;
        contents.insert(labelled.image, *blake3::hash(&bytes).as_bytes());
    }
    Ok(contents)
}

fn read(image: &LabelledImage) -> Result<Vec<u8>, EvalError> {
    Ok(std::fs::read(&image.path).map_err(StorageError::at("read", &image.path))?)
}

/// A labelled box, and what is right for it.
type Asked<'a> = (&'a LabelledBox, Target<'a>);

/// One query.
struct Asking<'a> {
    image: &'a LabelledImage,
    labelled: &'a LabelledBox,
    target: &'a Target<'a>,
    /// Whether what is right is hidden.
    is_hidden: bool,
}

/// Asks one query: hits outside junk images, `top` at most.
fn answer(
    worker: &mut Asker,
    asking: &Asking<'_>,
    truth: &GroundTruth<'_>,
    plan: &Plan,
) -> Result<Answered, EvalError> {
    let Asking { image, labelled, target, is_hidden } = *asking;
    let Asker { engine, pool, is_warm } = worker;
    let start = Instant::now();
    let picture = decode(&read(image)?, &Limits::default())
        .map_err(|source| EvalError::Picture { path: image.path.clone(), source })?;
    let decode_ms = start.elapsed().as_secs_f64() * 1e3;
    let top = plan.top;
    let plan = Plan { top: top + plan.boxes_per_image * target.junk.len(), ..plan.clone() };
    let right = target.boxes.iter().map(|(_, place)| place.image);
    let scope = is_hidden.then(|| truth.scope_without(&right.chain(target.junk.iter().copied()).collect()));
    let (boxes, scope) = (&[labelled.bbox], scope.as_ref());
    let question = Question { image: &image.name, boxes, scope, ..Question::default() };
    let answer = pool.install(|| engine.query(&picture, &question, &plan, &Patience::default()))?;
    let total = start.elapsed().as_secs_f64() * 1e3;
    let index = answer.index();
    let right: Vec<Place> = target.boxes.iter().map(|(_, place)| *place).collect();
    let located: Vec<Place> = located(&target.boxes).map(|(_, place)| *place).collect();
    let ranking = BoxRanking { hits: &[], truth: &located };
    let hits = answer.hits.into_iter().zip(answer.evidence).filter_map(|(hit, evidence)| {
        let place = Place { image: truth.place(&evidence.path)?, bbox: hit.bbox };
        let judged = JudgedHit {
            image: hit.image,
            bbox: hit.bbox,
            score: hit.score,
            probability: hit.probability,
            relevant: right.iter().any(|right| right.image == place.image),
            iou: ranking.iou(&place),
            any_iou: BoxRanking { hits: &[], truth: truth.boxes(place.image) }.iou(&place),
            truth: located
                .iter()
                .filter(|right| right.image == place.image)
                .map(|right| right.bbox)
                .collect(),
            path: evidence.path,
            content: evidence.content,
        };
        (!target.junk.contains(&place.image)).then_some((place, judged))
    });
    let hits = hits.take(top).collect();
    let timing_ms = TimingMs { decode: decode_ms, total, ..answer.timing_ms };
    Ok(Answered { hits, timing_ms, is_warm: std::mem::replace(is_warm, true), index })
}

/// The boxes that say where they are.
fn located<'a, 'b>(boxes: &'a [Right<'b>]) -> impl Iterator<Item = &'a Right<'b>> {
    boxes.iter().filter(|(labelled, _)| labelled.is_located)
}

/// An answer beside what is right; images in `ignored` are junk. None where nothing is right.
fn judge(answer: &Answered, right: &[Right<'_>], ignored: &HashSet<usize>) -> Option<Judged> {
    let is_located = right.iter().all(|(labelled, _)| labelled.is_located);
    let truth: Vec<Place> = right.iter().map(|(_, place)| *place).collect();
    let counted = || answer.hits.iter().filter(|(place, _)| !ignored.contains(&place.image));
    let hits: Vec<Place> = counted().map(|(place, _)| *place).collect();
    let any_iou = counted().next().and_then(|(_, hit)| hit.any_iou).unwrap_or(0.0);
    let right: HashSet<usize> = truth.iter().map(|place| place.image).collect();
    let mut seen = HashSet::new();
    let images = hits
        .iter()
        .filter(|hit| seen.insert(hit.image))
        .map(|hit| if right.contains(&hit.image) { Relevance::Positive } else { Relevance::Negative });
    let ranking = Ranking::new(images.collect::<Vec<_>>(), right.len())?;
    Some(Judged { ranking, hits, truth, is_located, any_iou })
}

/// Every figure of a query, in the order of reports. Of `k` and thresholds those that are published most, 1,000 where as many hits count.
fn measures(ious: &[f64], top: usize) -> Vec<Measure> {
    fn of_images(name: impl Into<String>, of: impl Fn(&Ranking) -> f64 + 'static) -> Measure {
        Measure { name: name.into(), of: Box::new(move |judged| Some(of(&judged.ranking))) }
    }
    fn of_boxes(name: impl Into<String>, of: impl Fn(BoxRanking<'_>) -> Option<f64> + 'static) -> Measure {
        let boxes = move |judged: &Judged| {
            let ranking = BoxRanking { hits: &judged.hits, truth: &judged.truth };
            judged.is_located.then(|| of(ranking)).flatten()
        };
        Measure { name: name.into(), of: Box::new(boxes) }
    }
    let mut all = vec![
        of_images("map.trapezoidal", Ranking::ap_trapezoidal),
        of_images("map.rectangular", Ranking::ap_rectangular),
    ];
    let deep = |k: &usize| *k <= top.max(100);
    let ilias = [10, 100, 1000].into_iter().filter(deep);
    all.extend(ilias.map(|k| of_images(format!("map.ilias.{k}"), move |ranking| ranking.ap_at(k))));
    let recall = [1, 10, 100, 1000].into_iter().filter(deep);
    all.extend(recall.map(|k| of_images(format!("recall.{k}"), move |ranking| ranking.recall_at(k))));
    all.extend([1, 5, 10].map(|k| of_images(format!("mp.{k}"), move |ranking| ranking.precision_at(k))));
    all.extend([1, 5, 10].map(|k| of_images(format!("cmc.{k}"), move |ranking| ranking.cmc(k))));
    all.push(of_images("mrr", Ranking::reciprocal_rank));
    for &iou in ious {
        all.push(of_boxes(format!("success.iou.{iou}"), move |boxes| Some(boxes.success(iou))));
    }
    for &iou in ious {
        let on_any =
            move |judged: &Judged| judged.is_located.then(|| f64::from(u8::from(judged.any_iou >= iou)));
        all.push(Measure { name: format!("success.any.iou.{iou}"), of: Box::new(on_any) });
    }
    for &iou in ious {
        all.push(of_boxes(format!("recall.iou.{iou}"), move |boxes| Some(boxes.recall(iou))));
    }
    for &iou in ious {
        all.push(of_boxes(format!("ap.iou.{iou}"), move |boxes| Some(boxes.average_precision(iou))));
    }
    all.push(of_boxes("miou", |boxes| Some(boxes.first_iou())));
    all.push(of_boxes("miou.found", |boxes| boxes.found_iou()));
    all.push(of_boxes("pointing", |boxes| Some(boxes.pointing())));
    all
}

fn means(measures: &[Measure], judged: &[Judged]) -> InOrder<Mean> {
    let mean = |measure: &Measure| {
        let values: Vec<f64> = judged.iter().filter_map(&measure.of).collect();
        Some((measure.name.clone(), Mean::of(&values)?))
    };
    InOrder(measures.iter().filter_map(mean).collect())
}

/// The figures of every bin of every attribute that some query has something in.
fn slices(measures: &[Measure], asked: &[(&LabelledBox, Target<'_>)], answers: &[Answered]) -> Vec<Slice> {
    let bins = SLICES.iter().flat_map(|by| by.bins().map(move |bin| (by, bin)));
    let slice = |(by, bin): (&super::slices::SliceBy, (f64, Option<f64>))| {
        let judged = asked.iter().zip(answers).filter_map(|((labelled, target), answer)| {
            let (inside, outside): (Vec<_>, Vec<_>) =
                target.boxes.iter().copied().partition(|(shown, _)| by.holds(bin, labelled, shown));
            let mut ignored: HashSet<usize> = outside.into_iter().map(|(_, place)| place.image).collect();
            for (_, place) in &inside {
                ignored.remove(&place.image);
            }
            judge(answer, &inside, &ignored)
        });
        let judged: Vec<Judged> = judged.collect();
        (!judged.is_empty()).then(|| Slice {
            by: by.name,
            from: bin.0,
            to: bin.1,
            queries: judged.len(),
            boxes: judged.iter().map(|judged| judged.truth.len()).sum(),
            metrics: means(measures, &judged),
        })
    };
    bins.filter_map(slice).collect()
}

/// The times that count: of workers that were warm, or all where none was.
fn timings(answers: &[Answered]) -> Vec<TimingMs> {
    let of = |is_counted: &dyn Fn(&Answered) -> bool| -> Vec<TimingMs> {
        answers.iter().filter(|answer| is_counted(answer)).map(|answer| answer.timing_ms).collect()
    };
    let warm = of(&|answer| answer.is_warm);
    if warm.is_empty() { of(&|_| true) } else { warm }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Bbox;

    fn place(image: usize, x: f32) -> Place {
        Place { image, bbox: Bbox::new(x, 0.0, 10.0, 10.0) }
    }

    fn answered(places: &[Place]) -> Answered {
        let hit = JudgedHit {
            image: String::new(),
            bbox: Bbox::new(0.0, 0.0, 1.0, 1.0),
            score: 0.0,
            probability: 0.0,
            relevant: false,
            iou: None,
            any_iou: Some(0.5),
            truth: Vec::new(),
            path: Vec::new(),
            content: [0; 32],
        };
        let hits = places.iter().map(|&place| (place, hit.clone())).collect();
        Answered { hits, timing_ms: TimingMs::default(), is_warm: true, index: String::new() }
    }

    #[test]
    fn an_image_counts_by_its_first_hit_and_ignored_ones_take_no_place() {
        // Image 3 is wrong, image 2 shows the instance otherwise, image 1 shows it.
        let answer = answered(&[place(3, 0.0), place(3, 50.0), place(2, 0.0), place(1, 0.0), place(1, 40.0)]);
        let figure = |judged: &Judged, name: &str| {
            let measures = measures(&[0.5], 100);
            (measures.iter().find(|measure| measure.name == name).unwrap().of)(judged).unwrap()
        };
        let shown = LabelledBox::new("1".to_owned(), 0, "a".to_owned(), Bbox::new(0.0, 0.0, 1.0, 1.0));
        let right = [(&shown, place(1, 40.0)), (&shown, place(2, 0.0))];
        let all = judge(&answer, &right, &HashSet::new()).unwrap();
        assert_eq!([figure(&all, "mrr"), figure(&all, "recall.100")], [0.5, 1.0]);
        assert_eq!(figure(&all, "map.rectangular"), (1.0 / 2.0 + 2.0 / 3.0) / 2.0);
        // The fifth box is the second right one: recall .5 with precision 2/5, as good as 1/3 before.
        assert!((figure(&all, "ap.iou.0.5") - 0.4).abs() < 1e-12, "{}", figure(&all, "ap.iou.0.5"));
        let part = judge(&answer, &right[..1], &HashSet::from([2])).unwrap();
        assert_eq!([figure(&part, "mrr"), figure(&part, "ap.iou.0.5")], [0.5, 0.25]);
        assert_eq!([figure(&part, "success.iou.0.5"), figure(&part, "success.any.iou.0.5")], [0.0, 1.0]);
        assert!(judge(&answer, &[], &HashSet::from([1, 2])).is_none());
    }

    #[test]
    fn what_is_somewhere_has_figures_of_images_alone() {
        let bbox = Bbox::new(0.0, 0.0, 0.0, 0.0);
        let somewhere =
            LabelledBox { is_located: false, ..LabelledBox::new(String::new(), 0, "a".to_owned(), bbox) };
        let judged =
            judge(&answered(&[place(1, 0.0)]), &[(&somewhere, place(1, 0.0))], &HashSet::new()).unwrap();
        let said: Vec<String> = measures(&[0.5], 1000)
            .into_iter()
            .filter(|measure| (measure.of)(&judged).is_some())
            .map(|measure| measure.name)
            .collect();
        assert!(said.contains(&"map.ilias.1000".to_owned()) && said.contains(&"mrr".to_owned()), "{said:?}");
        assert!(!said.iter().any(|name| name.contains("iou") || name == "pointing"), "{said:?}");
    }

    #[test]
    fn difficulties_are_those_of_the_revised_oxford() {
        let right = |difficulty: Difficulty| {
            [Grade::Easy, Grade::Hard, Grade::Junk].map(|grade| difficulty.holds(grade))
        };
        assert_eq!(right(Difficulty::Easy), [true, false, false]);
        assert_eq!(right(Difficulty::Medium), [true, true, false]);
        assert_eq!(right(Difficulty::Hard), [false, true, false]);
    }
}
