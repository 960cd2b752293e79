//! `patchdex eval segment` and `robustness`: few-shot segmentation by patches, of clean and of degraded images.

use clap::Args;

use super::protocol::{EncoderArguments, IndexArguments, OutputArguments};
use crate::cli::Outcome;
use crate::cli::failure::Failure;
use crate::cli::progress::QueryBar;
use crate::core::Kind;
use crate::eval::{Degradation, MaskSet, Predictor, SegmentOptions, run_segment};

/// Examples on a page: so many of the best images, and of the worst.
const EXAMPLES: usize = 3;
const PREDICTORS: [(&str, Predictor); 3] =
    [("majority", Predictor::Majority), ("weighted", Predictor::Weighted), ("linear", Predictor::Linear)];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Training images with label maps: a folder with images/ and labels/ (PNG files of the same names, whose grey levels or palette
    /// entries are classes, 255 is ignored), or laid out as Cityscapes, ADE20K or VOC; FOLDER:PART for the part called so, as train
    #[arg(value_name = "TRAINING")]
    training: String,
    /// Validation images, likewise
    #[arg(value_name = "VALIDATION")]
    validation: String,
    /// Side of the tiles that images are cut into, in image pixels
    #[arg(long, value_name = "PX", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=4096))]
    tile: u32,
    /// Side of a tile as the model sees it, in pixels
    #[arg(long, value_name = "PX", default_value_t = 224, value_parser = clap::value_parser!(u32).range(14..=4096))]
    input_px: u32,
    /// Bring images to this size first
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    resize: Option<Size>,
    /// What gives a patch its class: most of its nearest patches, these weighted by their similarity, or a linear probe
    #[arg(long, value_name = "NAME", default_value = PREDICTORS[0].0, value_parser = PREDICTORS.map(|(name, _)| name))]
    predictor: String,
    /// Nearest patches that are asked
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    k: u32,
    /// Draws noise
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    encoder: EncoderArguments,
    #[command(flatten)]
    index: IndexArguments,
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Clone, Copy)]
struct Size([u32; 2]);

fn parse_size(text: &str) -> Result<Size, String> {
    let sides =
        text.split_once('x').and_then(|(width, height)| Some([width.parse().ok()?, height.parse().ok()?]));
    let sound = sides.filter(|sides: &[u32; 2]| sides.iter().all(|side| (16..=16_384).contains(side)));
    sound.map(Size).ok_or_else(|| "give WIDTHxHEIGHT in pixels, for example 672x448".to_owned())
}

/// Of clean images.
pub(crate) fn segment(arguments: &Arguments) -> Result<Outcome, Failure> {
    run(arguments, Vec::new())
}

/// Of degraded ones, too.
pub(crate) fn robustness(arguments: &Arguments) -> Result<Outcome, Failure> {
    run(arguments, Degradation::all().collect())
}

fn run(arguments: &Arguments, degradations: Vec<Degradation>) -> Result<Outcome, Failure> {
    arguments.output.check(OutputArguments::CSV_START)?;
    let [training, validation] = [&arguments.training, &arguments.validation].map(|text| MaskSet::read(text));
    let (training, validation) = (training?, validation?);
    let encoder = arguments.encoder.open()?;
    if arguments.predictor == "weighted" && !encoder.metric.normalise {
        let message = "--predictor weighted weighs cosines; leave --similarity out, or take majority";
        return Err(Failure::new(Kind::Invalid, message));
    }
    let predictor = PREDICTORS.iter().find(|(name, _)| *name == arguments.predictor);
    let options = SegmentOptions {
        tile_px: arguments.tile,
        input_px: arguments.input_px,
        resize: arguments.resize.map(|Size(size)| size),
        predictor: predictor.map_or(Predictor::Majority, |(_, predictor)| *predictor),
        k: arguments.k as usize,
        index: arguments.index.kind(),
        ef: arguments.index.ef as usize,
        degradations,
        seed: arguments.seed,
        examples: if arguments.output.html.is_some() { EXAMPLES } else { 0 },
    };
    let bar = QueryBar::of("images");
    let told = &mut |done, of| bar.show(done, of);
    let report = run_segment(&training, &validation, &encoder, &options, told);
    bar.finish();
    arguments.output.write_protocol(&report?)?;
    Ok(Outcome::Done)
}
