//! Arguments that several commands share, and the parsers of their values.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use patchdex_format::TilePlan;

use super::failure::Failure;
use super::output;
use crate::collection::{GraphWish, Searching, read_manifest};
use crate::core::Kind;
use crate::engine::EngineOptions;
use crate::index::{GraphBuilder, HnswParameters, INDEX_KINDS};
use crate::ingest::ViewChoice;
use crate::model::{
    DEFAULT_MODEL, Device, JOINT, Model, ModelError, ModelOptions, Recommendation, RuntimeOptions, model_dir,
};
use crate::query::{CANDIDATES, EF, EXPAND, NEIGHBOURS, Plan, PlanChoice, TIME_BUDGET_MS, TOKENS};
use crate::storage::Residency;

/// Which model, and how it is run.
#[derive(Args, Clone)]
pub(crate) struct ModelArguments {
    /// Model folder, or the name of an installed model
    #[arg(long, env = "PATCHDEX_MODEL", value_name = "DIR", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Graph of the model folder: fp32, fp16 or int8, or auto: the fastest for this machine that the folder has and that gives nearly the
    /// same tokens
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Output of the graph to read tokens from [default: the folder's choice]
    #[arg(long, value_name = "NAME")]
    pub output: Option<String>,
    /// The same by the number of a block, or last: 7 is hidden_states.7, last is last_hidden_state; 4+7 reads both, the tokens of one
    /// behind those of the other, each of unit length
    #[arg(long, value_name = "N|last", conflicts_with = "output", value_parser = parse_layer)]
    pub layer: Option<String>,
    /// Value of an extra input of the graph (repeatable)
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_input)]
    pub input: Vec<(String, f64)>,
    #[command(flatten)]
    pub runtime: RuntimeArguments,
}

/// The output of a graph that a layer's number means.
pub(crate) fn parse_layer(text: &str) -> Result<String, String> {
    let output =
        |layer: &str| match (layer, layer.parse::<u32>()) {
            ("last", _) => Ok("last_hidden_state".to_owned()),
            (_, Ok(number)) => Ok(format!("hidden_states.{number}")),
            _ => Err("give the number of a block, or last; several with + between them are read together"
                .to_owned()),
        };
    let outputs: Vec<String> = text.split(JOINT).map(output).collect::<Result<_, _>>()?;
    Ok(outputs.join(&JOINT.to_string()))
}

/// A device, or none where any will do. (Clap takes an `Option` for an argument that may be left out.)
#[derive(Clone, Copy)]
pub(crate) struct DeviceChoice(Option<Device>);

fn parse_device(name: &str) -> Result<DeviceChoice, String> {
    let known = || Device::ALL.map(Device::name).join(", ");
    match name {
        "auto" => Ok(DeviceChoice(None)),
        _ => Device::named(name)
            .map(|device| DeviceChoice(Some(device)))
            .ok_or_else(|| format!("give auto, or one of {}", known())),
    }
}

/// A share above 0 and up to 1.
pub(crate) fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    match share > 0.0 && share <= 1.0 {
        true => Ok(share),
        false => Err("must be above 0 and at most 1".to_owned()),
    }
}

/// How the files of a collection lie in memory.
#[derive(Args, Clone, Copy)]
#[group(skip)]
pub(crate) struct ResidencyArgument {
    /// How vectors and graphs lie in memory: mapped (read as they are needed), locked (mapped, read at once and kept there) or
    /// copied (into large pages, where the system has them)
    #[arg(long, value_name = "HOW", default_value = "mapped", value_parser = parse_residency)]
    pub residency: Residency,
}

/// How files lie in memory.
pub(crate) fn parse_residency(name: &str) -> Result<Residency, String> {
    let known = || Residency::ALL.map(Residency::name).join(", ");
    Residency::named(name).ok_or_else(|| format!("give one of {}", known()))
}

/// Which indexes a collection gets.
#[derive(Args, Clone)]
#[group(skip)]
pub(crate) struct GraphArguments {
    /// Kinds of index: hnsw builds a graph over the patches of each segment, exact scans them and is always there [default:
    /// hnsw,exact]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = INDEX_KINDS.map(|kind| kind.name))]
    pub index: Vec<String>,
    #[command(flatten)]
    pub shape: GraphShape,
}

/// How a graph is made.
#[derive(Args, Clone)]
#[group(skip)]
pub(crate) struct GraphShape {
    /// Who builds graphs: batch, or hnsw_rs (by the crate of that name), which takes several times as long and has to be compiled in
    /// [default: batch, or as the collection has it]
    #[arg(long, value_name = "NAME", value_parser = parse_builder)]
    pub builder: Option<GraphBuilder>,
    /// Half the links that a node of a graph has room for: more find more, and take more memory [default: 16, or as the
    /// collection has it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(*HnswParameters::M.start() as i64..=*HnswParameters::M.end() as i64))]
    pub m: Option<u16>,
    /// Nodes that are looked at for the links of one when a graph is built [default: 200, or as the collection has it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(*HnswParameters::EF_CONSTRUCTION.start() as i64..=*HnswParameters::EF_CONSTRUCTION.end() as i64))]
    pub ef_construction: Option<u16>,
}

/// Which patches share a node of a graph.
#[derive(Args, Clone)]
#[group(skip)]
pub(crate) struct MergeArguments {
    /// Let patches of one image that are nearly the same, as sky and walls are, share a node of the graph: those whose cosine is so
    /// much or more. All are stored, and boxes are found by all [default: each has its own, or as the collection has it]
    #[arg(long, value_name = "COSINE", value_parser = parse_share)]
    pub merge_similar: Option<f64>,
}

impl GraphArguments {
    /// What is said of graphs.
    pub fn wish(&self) -> GraphWish {
        let kind = |name: &str| self.index.iter().any(|kind| kind == name);
        let searching = match () {
            () if kind("hnsw") => Some(Searching::Graphs),
            () if kind("exact") => Some(Searching::Scan),
            () => None,
        };
        self.shape.wish(searching)
    }
}

impl GraphShape {
    /// What is said of graphs, with what is said of `searching`.
    pub fn wish(&self, searching: Option<Searching>) -> GraphWish {
        GraphWish {
            searching,
            builder: self.builder,
            m: self.m.map(usize::from),
            ef_construction: self.ef_construction.map(usize::from),
            merge_similar: None,
        }
    }
}

/// What runs the model.
#[derive(Args, Clone)]
pub(crate) struct RuntimeArguments {
    /// ONNX Runtime library [default: ORT_DYLIB_PATH, beside the program, the cache, the system]
    #[arg(long, value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Where the model runs: auto, cpu, cuda, tensorrt, coreml, directml or openvino, as far as the library has it; auto takes cuda or
    /// directml where they work, else cpu
    #[arg(long, env = "PATCHDEX_DEVICE", value_name = "NAME", default_value = "auto", value_parser = parse_device)]
    pub device: DeviceChoice,
    /// Threads [default: all cores]
    #[arg(long, env = "PATCHDEX_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl ModelArguments {
    /// Opens the model.
    pub fn open(&self) -> Result<Model, ModelError> {
        let dir = model_dir(&self.model);
        let options = |variant: Option<String>| ModelOptions {
            variant,
            output: self.output.clone().or_else(|| self.layer.clone()),
            inputs: self.input.iter().cloned().collect(),
            runtime: self.runtime.options(),
        };
        let model = match self.variant.as_deref() {
            Some("auto") => {
                // Which variant is best depends on the device, and that on what works.
                let model = Model::open(&dir, &options(None))?;
                let Recommendation { variant, reason } = Recommendation::of(&dir, model.device);
                output::message(&format!("variant {variant}: {reason}"));
                match variant == model.spec.variant {
                    true => model,
                    false => Model::open(&dir, &options(Some(variant.to_owned())))?,
                }
            }
            _ => Model::open(&dir, &options(self.variant.clone()))?,
        };
        if let Some(reason) = &model.passed_over {
            output::message(&format!("the model runs on the {}: {reason}", model.device));
        }
        Ok(model)
    }
}

impl RuntimeArguments {
    /// Threads to use.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }

    /// A rayon pool of that many threads.
    pub fn pool(&self) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads())
            .build()
            .expect("invariant: a pool of at least one thread can be built")
    }

    /// The library and the device.
    pub fn options(&self) -> RuntimeOptions {
        RuntimeOptions { library: self.onnxruntime.clone(), device: self.device.0 }
    }

    /// Options to open a collection for questions.
    pub fn engine(&self, model: Option<String>) -> EngineOptions {
        EngineOptions { model, runtime: self.options(), threads: self.threads(), ..EngineOptions::default() }
    }
}

/// How a crop is looked for.
#[derive(Args, Clone)]
#[group(skip)]
pub(crate) struct PlanArguments {
    /// Compare with every patch instead of asking graphs; so it is done anyway where a collection has none
    #[arg(long, conflicts_with = "ef")]
    pub exact: bool,
    /// Nodes of a graph that a search keeps in view [default for a crop: a third of --neighbours, at least 128]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(EF))]
    pub ef: Option<u32>,
    /// Tokens of a box that are asked at most, in each size that it is seen in [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(TOKENS))]
    pub tokens: Option<u32>,
    /// Nearest patches of each token that say which images come into question [default: 384]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(NEIGHBOURS))]
    pub neighbours: Option<u32>,
    /// Images that are looked at for a place [default: 200, and at least --top]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(CANDIDATES))]
    pub candidates: Option<u32>,
    /// Places found with confidence that are looked for as well, in turn: finds more of what the collection shows often, and takes
    /// about twice as long; 0 for none [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(EXPAND))]
    pub expand: Option<u32>,
    /// Also look for its mirror image: takes twice as long
    #[arg(long)]
    pub mirrored: bool,
    /// Also look for it on its sides and upside down, beside turns of up to 50 degrees: takes four times as long
    #[arg(long)]
    pub turned: bool,
    /// Look at no further image when so many milliseconds of search have passed, without those of the model, but for the first
    /// eight: others are judged by their matches alone, as far as there was time for that
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(TIME_BUDGET_MS))]
    pub time_budget_ms: Option<u32>,
}

impl PlanArguments {
    /// A plan of what is said, and the defaults.
    pub fn plan(&self, top: usize) -> Plan {
        let choice = PlanChoice {
            exact: self.exact,
            ef: self.ef,
            tokens: self.tokens,
            neighbours: self.neighbours,
            candidates: self.candidates,
            expand: self.expand,
            mirrored: self.mirrored,
            turned: self.turned,
            time_budget_ms: self.time_budget_ms,
            ..PlanChoice::default()
        };
        Plan { top, ..choice.plan().expect("invariant: clap holds numbers in the limits") }
    }
}

/// At least one of several arguments; an error names all of them. Clap's usage puts it before other positions: commands
/// that have some write their own.
pub(crate) fn one_of(arguments: &[&'static str]) -> ArgGroup {
    ArgGroup::new("one_of").args(arguments).required(true).multiple(true)
}

/// No arguments beside a collection.
pub(crate) const NONE: &[&Path] = &[];

/// Refuses a file where the folder of a collection belongs; where one of the arguments `beside` it is a collection, they
/// are swapped.
pub(crate) fn require_folder(path: &Path, beside: &[impl AsRef<Path>]) -> Result<(), Failure> {
    if !path.is_file() {
        return Ok(());
    }
    let swapped = beside.iter().map(AsRef::as_ref).find(|other| read_manifest(other).is_ok());
    let advice = match swapped {
        Some(other) => format!("{} is one: swap both", other.display()),
        None => "give the folder of one".to_owned(),
    };
    let message = format!("{} is a file, not a collection; {advice}", path.display());
    Err(Failure::new(Kind::Invalid, message))
}

fn parse_builder(name: &str) -> Result<GraphBuilder, String> {
    GraphBuilder::named(name).map_err(|error| error.to_string())
}

fn parse_input(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=NUMBER")?;
    let value: f64 = value.parse().map_err(|_| format!("'{value}' is not a number"))?;
    Ok((name.to_owned(), value))
}

/// `whole`, `tiles:PX`, `tiles:PX/OVERLAP` or `pyramid`.
pub(crate) fn parse_views(text: &str) -> Result<ViewChoice, String> {
    match (text, text.strip_prefix("tiles:")) {
        ("whole", _) => Ok(ViewChoice::Whole),
        ("pyramid", _) => Ok(ViewChoice::Pyramid),
        (_, Some(tiles)) => parse_tiles(tiles).map(ViewChoice::Tiles),
        _ => Err("give whole, tiles:PX, tiles:PX/OVERLAP or pyramid".to_owned()),
    }
}

/// `PX` or `PX/OVERLAP`; the overlap is a quarter when it is not given.
fn parse_tiles(text: &str) -> Result<TilePlan, String> {
    let (side, overlap) = match text.split_once('/') {
        Some((side, overlap)) => (side, Some(overlap)),
        None => (text, None),
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("'{text}' is not a number of pixels"));
    let side_px = number(side)?;
    let overlap_px = overlap.map_or(Ok(side_px / 4), number)?;
    match side_px >= 16 && overlap_px <= side_px / 2 {
        true => Ok(TilePlan { side_px, overlap_px }),
        false => Err("tiles have at least 16 px and overlap by half at most".to_owned()),
    }
}

/// `2147483648`, `2048M`, `2GiB`, `1.5G`: bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 =
        digits.parse().map_err(|_| format!("'{text}' is not a size; 2G, 512M and 1048576 are"))?;
    let unit = text[digits.len()..].to_ascii_lowercase();
    let factor = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 1u64,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return Err(format!("'{unit}' is no unit; use K, M, G or T")),
    };
    match number >= 1.0 && number.is_finite() {
        true => Ok((number * factor as f64) as u64),
        false => Err(format!("'{text}' is not a size; 2G, 512M and 1048576 are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_tiles_are_read_as_people_write_them() {
        assert_eq!(parse_bytes("2G"), Ok(2 << 30));
        assert_eq!(parse_bytes("1.5KiB"), Ok(1536));
        assert_eq!(parse_bytes("17"), Ok(17));
        for text in ["", "G", "-1", "2X", "0"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(parse_tiles("256"), Ok(TilePlan { side_px: 256, overlap_px: 64 }));
        assert_eq!(parse_tiles("256/0"), Ok(TilePlan { side_px: 256, overlap_px: 0 }));
        for text in ["", "8", "256/200", "a/b"] {
            assert!(parse_tiles(text).is_err(), "{text}");
        }
        assert_eq!(parse_views("pyramid"), Ok(ViewChoice::Pyramid));
        let tiles = TilePlan { side_px: 300, overlap_px: 40 };
        assert_eq!(parse_views("tiles:300/40"), Ok(ViewChoice::Tiles(tiles)));
        assert!(parse_views("tiles").is_err() && parse_views("256").is_err());
    }
}
