//! `patchdex demo`: the main job on the sample photographs, or on the user's own folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::Outcome;
use super::arguments::ModelArguments;
use super::failure::Failure;
use super::query::{Asked, QueryImage, ask, print_table};
use super::{index, output, pictures};
use crate::core::{Bbox, Kind};
use crate::ingest::{self, IndexOptions};
use crate::model::cache_dir;
use crate::query::Plan;

/// The engine of the motorcycle, in the left picture of the sample's stereo pair.
const SAMPLE: (&str, Bbox) = ("motorcycle_left.png", Bbox { x: 300.0, y: 190.0, w: 170.0, h: 150.0 });

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder with images [default: the sample photographs]
    folder: Option<PathBuf>,
    /// Image to take the crop from [default: the first one of the folder]
    #[arg(long, value_name = "IMAGE", requires = "folder")]
    image: Option<PathBuf>,
    /// Crop of that image [default: its middle]
    #[arg(long = "box", value_name = "X,Y,W,H", allow_hyphen_values = true)]
    bbox: Option<Bbox>,
    /// Where collection and page go
    #[arg(long, short, value_name = "FOLDER", default_value = "patchdex-demo")]
    out: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let sample = cache_dir().join("photos");
    let folder = arguments.folder.clone().unwrap_or_else(|| sample.clone());
    if arguments.folder.is_none() && !folder.is_dir() {
        let message =
            "the sample photographs are not here; run 'patchdex setup', or name a folder with images";
        return Err(Failure::new(Kind::NotFound, message));
    }
    let sources = index::collect(std::slice::from_ref(&folder), None)?;
    let model = arguments.model.open()?;
    let collection = arguments.out.join("collection");
    let options = IndexOptions::new(collection.clone(), arguments.model.runtime.threads());
    output::message(&format!(
        "1. index {} ({})",
        folder.display(),
        output::counted(sources.files.len() as u64, "image")
    ));
    let start = Instant::now();
    let stop = index::stop_flag();
    let summary =
        arguments.model.runtime.pool().install(|| index::build(&sources, &model, &options, &stop))?;
    index::report(&summary, &options, start.elapsed().as_secs_f64(), false)?;

    let (image, bbox) = match (&arguments.folder, &arguments.image) {
        (None, _) => (sample.join(SAMPLE.0), arguments.bbox.unwrap_or(SAMPLE.1)),
        (Some(_), Some(image)) => (image.clone(), arguments.bbox.map_or_else(|| middle(image), Ok)?),
        (Some(_), None) => {
            let first = readable(&sources, &summary)?;
            (first.clone(), arguments.bbox.map_or_else(|| middle(&first), Ok)?)
        }
    };
    output::message(&format!("2. query with box {bbox} of {}", image.display()));
    let html = arguments.out.join("answer.html");
    let asked = Asked {
        collection: &collection,
        image: QueryImage::File(&image),
        boxes: &[bbox],
        mask: None,
        not_boxes: &[],
        model: Some(arguments.model.model.clone()),
        html: Some(&html),
    };
    let (answer, _) = ask(&asked, &Plan::default(), &arguments.model.runtime)?;
    print_table(&answer)?;
    output::message(&format!(
        "3. open {}\n\nnext, with your own images:\n  patchdex index FOLDER --out my.collection\n  \
         patchdex query my.collection IMAGE --box X,Y,W,H --html answer.html",
        html.display()
    ));
    Ok(if summary.rejects.is_empty() { Outcome::Done } else { Outcome::DoneWithRejects })
}

/// The first image that is in the collection.
fn readable(sources: &ingest::Sources, summary: &ingest::Summary) -> Result<PathBuf, Failure> {
    let rejected = |path: &Path| summary.rejects.iter().any(|reject| Path::new(&reject.path) == path);
    let first = sources.files.iter().find(|file| !rejected(&file.relative));
    first.map(|file| file.path.clone()).ok_or_else(|| Failure::new(Kind::NotFound, "no readable image"))
}

/// The middle third of an image.
fn middle(image: &Path) -> Result<Bbox, Failure> {
    let header = pictures::header(image)?;
    let (w, h) = (header.width as f32, header.height as f32);
    Ok(Bbox::new((w / 3.0).round(), (h / 3.0).round(), (w / 3.0).round(), (h / 3.0).round()))
}
