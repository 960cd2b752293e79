//! `patchdex query`: crop in, boxes out. With `--vectors` it is answered by [`super::nearest`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::arguments::{
    PlanArguments, RuntimeArguments, one_of, parse_residency, parse_share, require_folder,
};
use super::condition::tell_unmet;
use super::failure::Failure;
use super::graphs::tell_damaged_graphs;
use super::target::{PAGE_START, check_target, command_line, write_target};
use super::{nearest, output, pictures};
use crate::collection::{Collection, Filter, require_model};
use crate::core::{Bbox, Hit};
use crate::engine::{Engine, Question, searched};
use crate::picture::Picture;
use crate::query::{
    Answer, DEFAULT_RECALL, DEFAULT_TOP, Evidence, NearestChoice, Patience, Plan, RowsOf, Subject, TOP,
    execute, stored_image,
};
use crate::report::{PageInput, answer_page};
use crate::storage::Residency;

#[derive(Args)]
#[command(group = one_of(&["image", "indexed", "vectors"]))]
#[command(
    override_usage = "patchdex query [OPTIONS] <COLLECTION> <IMAGE|--indexed <IMAGE>|--vectors <FILE>>"
)]
pub(crate) struct Arguments {
    /// Folder of the collection
    #[arg(value_name = "COLLECTION")]
    collection: PathBuf,
    /// Image that shows the object; it need not be in the collection
    #[arg(value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// Instead of a file, an image of the collection, by its path or id as hits have them: its stored patches are asked, no model
    /// is needed
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["image", "vectors", "mask", "mirrored", "turned"])]
    indexed: Option<String>,
    /// Instead of an image, ask for the stored vectors nearest to each row of a .npy, .fbin, .i8bin, .u8bin, .fvecs, .ivecs
    /// or .bvecs file: tokens as the model gives them, or prepared vectors
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "image", "boxes", "mask", "not_boxes", "min_probability", "group_duplicates", "html", "coco",
            "tokens", "neighbours", "candidates", "expand", "mirrored", "turned", "time_budget_ms",
        ]
    )]
    vectors: Option<PathBuf>,
    /// The rows of --vectors are prepared, as 'export' writes them, though they are as long as the model's tokens
    #[arg(long, conflicts_with_all = ["image", "indexed"])]
    prepared: bool,
    /// The rows of --vectors are the model's own tokens, as 'export --raw' writes them; the default where the length does
    /// not tell
    #[arg(long, conflicts_with_all = ["image", "indexed", "prepared"])]
    raw: bool,
    /// Where the object is, in pixels of the upright image (repeatable, for several looks at one object) [default: the
    /// whole image]
    #[arg(long = "box", value_name = "X,Y,W,H", allow_hyphen_values = true)]
    boxes: Vec<Bbox>,
    /// Instead of a box, a picture of the image's size that is white where the object is and black elsewhere; transparency counts as
    /// white
    #[arg(long, value_name = "FILE", conflicts_with = "boxes")]
    mask: Option<PathBuf>,
    /// What is not meant, in the same image (repeatable): what the object has in common with it does not count
    #[arg(long = "not-box", value_name = "X,Y,W,H", allow_hyphen_values = true)]
    not_boxes: Vec<Bbox>,
    /// Leave out hits that are less likely to show the very object, from 0 to 1
    #[arg(long, value_name = "P", default_value_t = 0.0, hide_default_value = true, value_parser = parse_probability)]
    min_probability: f32,
    /// Hits in the answer; with --vectors, for each row [default: 10, with --min-similarity all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(TOP))]
    top: Option<u32>,
    /// With --vectors, every stored vector that is at least so similar: its cosine, its product, or with the metric l2 minus its
    /// squared distance. Every vector is looked at
    #[arg(
        long,
        value_name = "S",
        allow_hyphen_values = true,
        value_parser = parse_similarity,
        conflicts_with_all = ["ef", "recall"],
        requires = "vectors"
    )]
    min_similarity: Option<f32>,
    /// Search only images that meet a condition on their metadata, or on image, width, height, bytes: "camera = 'c2'
    /// and year >= 2020"
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<Filter>,
    /// Make nearly equal images one hit: the best of them, which lists the others
    #[arg(long)]
    group_duplicates: bool,
    #[command(flatten)]
    plan: PlanArguments,
    /// With --vectors, search graphs as hard as it took to find this share of the ten nearest when they were built
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_RECALL, value_parser = parse_share, requires = "vectors", conflicts_with_all = ["ef", "exact"])]
    recall: f64,
    /// With --vectors, how vectors and graphs lie in memory: mapped (read as they are needed), locked (mapped, read at once and
    /// kept there) or copied (into large pages, where the system has them)
    #[arg(long, value_name = "HOW", default_value = "mapped", value_parser = parse_residency, requires = "vectors")]
    residency: Residency,
    /// Model folder or name [default: the one that made the collection]
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR")]
    model: Option<String>,
    #[command(flatten)]
    runtime: RuntimeArguments,
    /// Also say what each stage did and how long it took
    #[arg(long)]
    explain: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "jsonl")]
    json: bool,
    /// Print one JSON object a hit; with --vectors, a row
    #[arg(long)]
    jsonl: bool,
    /// Print the hits as COCO results, for the images of 'patchdex export COLLECTION FILE.json'. Both number the images of
    /// this commit: after add, remove or another change, export anew
    #[arg(long, conflicts_with_all = ["json", "jsonl"])]
    coco: bool,
    /// Also write a page that shows the answer
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    require_folder(&arguments.collection, arguments.image.as_slice())?;
    if let Some(vectors) = &arguments.vectors {
        let (exact, ef, min_similarity) = (arguments.plan.exact, arguments.plan.ef, arguments.min_similarity);
        // Clap gives a recall where none is said.
        let recall = (!exact && ef.is_none() && min_similarity.is_none()).then_some(arguments.recall);
        let choice = NearestChoice {
            top: arguments.top,
            exact,
            ef,
            recall,
            min_similarity,
            ..NearestChoice::default()
        };
        let (wanted, thoroughness) = choice.search()?;
        let question = nearest::Question {
            collection: &arguments.collection,
            vectors,
            kind: match (arguments.prepared, arguments.raw) {
                (true, _) => Some(RowsOf::Prepared),
                (_, true) => Some(RowsOf::Raw),
                _ => None,
            },
            wanted,
            filter: arguments.filter.as_ref(),
            thoroughness,
            residency: arguments.residency,
            explain: arguments.explain,
        };
        let shape = match (arguments.json, arguments.jsonl) {
            (true, _) => nearest::Shape::Object,
            (_, true) => nearest::Shape::Lines,
            _ => nearest::Shape::Table,
        };
        let answered = arguments.runtime.pool().install(|| nearest::answer(&question, shape));
        return answered.map(|()| Outcome::Done);
    }
    let filter = arguments.filter.as_ref().map(Filter::to_string);
    let top = arguments.top.map_or(DEFAULT_TOP, |top| top as usize);
    let group_duplicates = arguments.group_duplicates;
    let heat_maps = arguments.html.is_some();
    let min_probability = arguments.min_probability;
    let plan = Plan { filter, group_duplicates, heat_maps, min_probability, ..arguments.plan.plan(top) };
    let asked = Asked {
        collection: &arguments.collection,
        // Without vectors, clap asks for one of both.
        image: match &arguments.indexed {
            Some(named) => QueryImage::Indexed(named),
            None => QueryImage::File(arguments.image.as_deref().unwrap_or(Path::new(""))),
        },
        boxes: &arguments.boxes,
        mask: arguments.mask.as_deref(),
        not_boxes: &arguments.not_boxes,
        model: arguments.model.clone(),
        html: arguments.html.as_deref(),
    };
    let (answer, collection) = ask(&asked, &plan, &arguments.runtime)?;
    if !plan.exact {
        tell_damaged_graphs(&collection);
    }
    match (arguments.json, arguments.jsonl) {
        _ if arguments.coco => output::json(&coco_results(&collection, &answer)?)?,
        (true, _) => output::json(&answer)?,
        (_, true) => answer.hits.iter().try_for_each(output::json_line)?,
        _ => print_table(&answer)?,
    }
    if let (0, Some(filter)) = (answer.searched_images, &arguments.filter) {
        tell_unmet(&collection, filter)?;
    }
    if arguments.explain {
        explain(&answer);
    }
    if answer.is_cut {
        output::message("the time budget was too short for the whole plan: the answer is as far as it came");
    }
    Ok(Outcome::Done)
}

/// The image that shows the object.
pub(crate) enum QueryImage<'a> {
    File(&'a Path),
    /// One of the collection, by its path or id.
    Indexed(&'a str),
}

/// What is asked of which collection.
pub(crate) struct Asked<'a> {
    pub collection: &'a Path,
    pub image: QueryImage<'a>,
    pub boxes: &'a [Bbox],
    pub mask: Option<&'a Path>,
    pub not_boxes: &'a [Bbox],
    pub model: Option<String>,
    pub html: Option<&'a Path>,
}

/// Asks, and writes the page when one is wanted; gives also what was asked.
pub(crate) fn ask(
    asked: &Asked<'_>,
    plan: &Plan,
    runtime: &RuntimeArguments,
) -> Result<(Answer, Arc<Collection>), Failure> {
    // Found out now, not after the work.
    asked.html.map_or(Ok(()), |page| check_target(page, "--html", "a page", PAGE_START))?;
    match asked.image {
        QueryImage::File(image) => ask_picture(image, asked, plan, runtime),
        QueryImage::Indexed(named) => ask_indexed(named, asked, plan, runtime),
    }
}

fn ask_picture(
    image: &Path,
    asked: &Asked<'_>,
    plan: &Plan,
    runtime: &RuntimeArguments,
) -> Result<(Answer, Arc<Collection>), Failure> {
    let start = Instant::now();
    let picture = pictures::open(image)?;
    let mask = asked.mask.map(|mask| Ok::<_, Failure>(Arc::new(pictures::mask(mask)?))).transpose()?;
    let decode_ms = start.elapsed().as_secs_f64() * 1e3;
    let opening = Instant::now();
    let mut engine = Engine::open(asked.collection, &runtime.engine(asked.model.clone()))?;
    let opening_ms = opening.elapsed().as_secs_f64() * 1e3;
    let question = Question {
        image: &image.display().to_string(),
        boxes: asked.boxes,
        mask: mask.as_ref(),
        unlike: asked.not_boxes,
        scope: None,
    };
    let mut answer =
        runtime.pool().install(|| engine.query(&picture, &question, plan, &Patience::default()))?;
    tell_doubts(asked, (picture.width, picture.height), engine.patch_px(&picture));
    answer.timing_ms.decode = decode_ms;
    answer.timing_ms.embed += opening_ms;
    answer.timing_ms.total = start.elapsed().as_secs_f64() * 1e3;
    if let Some(html) = asked.html {
        write_target(html, &page(engine.collection(), &answer, &picture))?;
    }
    Ok((answer, engine.into_collection()))
}

fn ask_indexed(
    named: &str,
    asked: &Asked<'_>,
    plan: &Plan,
    runtime: &RuntimeArguments,
) -> Result<(Answer, Arc<Collection>), Failure> {
    let start = Instant::now();
    let collection = Collection::open(asked.collection)?;
    // Of imported vectors nobody knows which make one view of an image.
    require_model(asked.collection, collection.manifest())?;
    let placed = stored_image(&collection, named)?;
    let image = placed.image;
    let picture = match asked.html {
        Some(_) => Some(pictures::unchanged(&collection.image_file(image.path), &image.row.content)?),
        None => None,
    };
    let decode_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut answer = runtime.pool().install(|| {
        let subject = Subject::stored(&collection, &placed, asked.boxes, asked.not_boxes, plan)?;
        let scope = searched(&collection, None, plan)?;
        Ok::<_, Failure>(execute(&collection, &scope, &subject, plan, &Patience::default())?)
    })?;
    if let Some(view) = image.views().next() {
        tell_doubts(asked, (image.row.width_px, image.row.height_px), view.grid.patch_size().0);
    }
    answer.timing_ms.decode = decode_ms;
    answer.timing_ms.total = start.elapsed().as_secs_f64() * 1e3;
    if let (Some(html), Some(picture)) = (asked.html, picture) {
        write_target(html, &page(&collection, &answer, &picture))?;
    }
    Ok((answer, Arc::new(collection)))
}

/// Says what makes one doubt the boxes, in an image of that width and height.
fn tell_doubts(asked: &Asked<'_>, size: (u32, u32), patch_px: f32) {
    let boxes = asked.boxes.iter().chain(asked.not_boxes);
    boxes.filter_map(|bbox| doubt(bbox, size, patch_px)).for_each(|doubt| output::message(&doubt));
}

/// What makes one doubt that a box with something in an image is what was meant: fractions or corners look so.
fn doubt(bbox: &Bbox, (width, height): (u32, u32), patch_px: f32) -> Option<String> {
    /// As much as rounding moves an edge.
    const ROUNDING_PX: f32 = 1.0;
    let inside = bbox.intersection(&Bbox::of_image(width, height));
    if bbox.w - inside.w > ROUNDING_PX || bbox.h - inside.h > ROUNDING_PX {
        return Some(format!(
            "box {bbox} was cut to {inside}: the image has {width}x{height} px, boxes are x,y,width,height in pixels"
        ));
    }
    (inside.w.max(inside.h) < patch_px).then(|| {
        format!(
            "box {bbox} is smaller than a patch ({patch_px:.0} of the image's {width}x{height} px), which is little to \
             go by; boxes are x,y,width,height in pixels"
        )
    })
}

/// A hit as COCO's results have it.
#[derive(Serialize)]
struct CocoResult {
    image_id: u64,
    category_id: u32,
    bbox: Bbox,
    score: f32,
}

/// The hits as COCO results: images by their numbers in an export of the same commit.
fn coco_results(collection: &Collection, answer: &Answer) -> Result<Vec<CocoResult>, Failure> {
    let listing = collection.listing()?;
    let result = |(hit, evidence): (&Hit, &Evidence)| {
        let at = listing.binary_search_by(|placed| placed.image.path.cmp(&evidence.path)).ok()?;
        let image_id = listing[at].number;
        Some(CocoResult { image_id, category_id: 1, bbox: hit.bbox, score: hit.score })
    };
    Ok(answer.hits.iter().zip(&answer.evidence).filter_map(result).collect())
}

fn page(collection: &Collection, answer: &Answer, picture: &Picture) -> String {
    let picture_of = |evidence: &Evidence| {
        let file = collection.image_file(&evidence.path);
        pictures::unchanged(&file, &evidence.content).map_err(|failure| failure.message().to_owned())
    };
    let manifest = collection.manifest();
    answer_page(&PageInput {
        answer,
        query_picture: picture,
        collection: &collection.path().display().to_string(),
        model: &manifest.model.name,
        preparation: &manifest.preparation.spec,
        version: env!("CARGO_PKG_VERSION"),
        command: &command_line(),
        picture_of: &picture_of,
    })
}

/// Prints the hits as a table.
pub(crate) fn print_table(answer: &Answer) -> Result<(), Failure> {
    if answer.hits.is_empty() {
        // What a condition hides is said with the condition, what a time budget cuts off with the budget.
        match (answer.searched_images, &answer.plan.filter) {
            (0, None) => output::message("nothing found: there was no image to search"),
            (0, Some(_)) => {}
            _ if answer.is_cut => {}
            _ if answer.plan.min_probability > 0.0 => output::message(&format!(
                "not in this collection: no image shows the object with a probability of {} or more",
                answer.plan.min_probability
            )),
            _ => output::message("nothing found: no image holds a patch like those of the box"),
        }
        return Ok(());
    }
    let (bold, plain) = output::bold();
    output::line(&format!("{bold}rank  prob  score      x      y      w      h  image{plain}"))?;
    for hit in &answer.hits {
        let b = hit.bbox;
        let alike = match hit.duplicates.len() {
            0 => String::new(),
            count => format!(" (+{count} alike)"),
        };
        output::line(&format!(
            "{:>4}  {:.2}  {:.3} {:>6.0} {:>6.0} {:>6.0} {:>6.0}  {}{alike}",
            hit.rank,
            hit.probability,
            hit.score,
            b.x,
            b.y,
            b.w,
            b.h,
            output::name(&hit.image)
        ))?;
    }
    if answer.hits[0].probability < 0.5 {
        output::message("the object is more likely not in this collection: no hit has a probability of 0.5");
    }
    Ok(())
}

fn explain(answer: &Answer) {
    let (query, plan, time) = (&answer.query, &answer.plan, &answer.timing_ms);
    let scales: Vec<String> = query.scales.iter().map(|scale| format!("{scale:.2}")).collect();
    output::message(&format!(
        "query    {} of box {} seen at {} times the gallery's scale",
        output::counted(query.tokens as u64, "token"),
        query.bbox,
        scales.join(", "),
    ));
    nearest::explain(answer.searched.iter());
    output::message(&format!(
        "rerank   {} nearest patches of each token; {} images at most propose places for {} object sizes and {} turns, {} \
         at most are looked at{}{}",
        plan.neighbours,
        plan.proposing(),
        plan.scales.len(),
        plan.rotations.len(),
        plan.looked_at(),
        match query.expanded {
            0 => String::new(),
            expanded => format!("; {} looked for as well", output::counted(expanded as u64, "good place")),
        },
        if plan.group_duplicates { "; nearly equal images are one hit" } else { "" },
    ));
    output::message(&format!(
        "time     decode {:.0} ms, model and embedding {:.0} ms, search {:.0} ms, rerank {:.0} ms, total {:.0} ms",
        time.decode, time.embed, time.search, time.rerank, time.total,
    ));
    for hit in &answer.hits {
        let s = &hit.scores;
        output::message(&format!(
            "hit {:<4} vote {:.3}, maxsim {:.3}, geometry {:.3}, {}: {}",
            hit.rank,
            s.vote,
            s.maxsim,
            s.geometry,
            output::counted(hit.matches.len() as u64, "match"),
            output::name(&hit.image)
        ));
    }
}

fn parse_probability(text: &str) -> Result<f32, String> {
    let probability = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    probability.ok_or_else(|| "a number from 0 to 1 is needed: 0.5".to_owned())
}

fn parse_similarity(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|value: &f32| value.is_finite())
        .ok_or_else(|| "a number is needed: 0.8".to_owned())
}
