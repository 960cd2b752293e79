//! `patchdex eval identify`: whether patches are found again when tiles are changed.

use std::path::PathBuf;

use clap::Args;

use super::protocol::{EncoderArguments, IndexArguments, OutputArguments};
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::cli::{Outcome, index};
use crate::eval::{ClassSet, Condition, IdentifyOptions, TRANSFORMATIONS, run_identify};

/// Examples of each kind of change on a page: so many of the best, and of the worst.
const EXAMPLES: usize = 2;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Image files, folders, or patterns
    #[arg(value_name = "IMAGES", required = true)]
    images: Vec<PathBuf>,
    /// Side of the tiles that images are cut into, from the top left, in image pixels; what is left over is not used
    #[arg(long, value_name = "PX", default_value_t = 224, value_parser = clap::value_parser!(u32).range(16..=4096))]
    tile: u32,
    /// Side of a tile as the model sees it, in pixels: 256 gives models with patches of 16 px the grid that 224 gives those with 14
    /// [default: --tile]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(14..=4096))]
    input_px: Option<u32>,
    /// What is done to tiles [default: all]
    #[arg(long, value_name = "CHANGES", value_delimiter = ',', value_parser = TRANSFORMATIONS.map(|kind| kind.name))]
    only: Vec<String>,
    /// Classes of objects: FAIR1M, a COCO file whose boxes have categories, or a folder of images with label maps (Cityscapes, ADE20K, VOC,
    /// images/ and labels/). Then patches of objects alone are asked, and whether what was found has the same class and superclass, and
    /// is an object at all, counts as well; elsewhere: outside the patch's own tile
    #[arg(long, value_name = "LABELS")]
    classes: Option<PathBuf>,
    /// Take where patches of turned tiles come from the wrong way round, as the notebooks of arXiv 2401.00463 do
    #[arg(long)]
    notebook_map: bool,
    /// Use so many of the images, drawn by --seed [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Use so many of their tiles, drawn likewise [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tiles: Option<u32>,
    /// Draws the images of --limit, the tiles of --tiles, and noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.output.check(OutputArguments::CSV_START)?;
    let sources = index::collect(&arguments.images, None)?;
    let classes = arguments.classes.as_deref().map(ClassSet::read).transpose()?;
    let encoder = arguments.encoder.open()?;
    let is_meant = |condition: &Condition| {
        let name = condition.transformation.name;
        arguments.only.is_empty() || arguments.only.iter().any(|only| only == name)
    };
    let options = IdentifyOptions {
        tile_px: arguments.tile,
        input_px: arguments.input_px.unwrap_or(arguments.tile),
        conditions: Condition::all().filter(is_meant).collect(),
        notebook_map: arguments.notebook_map,
        index: arguments.index.kind(),
        ef: arguments.index.ef as usize,
        limit: arguments.limit.map(|limit| limit as usize),
        tiles: arguments.tiles.map(|tiles| tiles as usize),
        seed: arguments.seed,
        examples: if arguments.output.html.is_some() { EXAMPLES } else { 0 },
    };
    let bar = QueryBar::of("images");
    let report =
        run_identify(&sources, &encoder, &options, classes.as_ref(), &mut |done, of| bar.show(done, of));
    bar.finish();
    arguments.output.write_protocol(&report?)?;
    Ok(Outcome::Done)
}
