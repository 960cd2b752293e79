//! A Vision Transformer: its folder, its graph, and from picture tensors to patch tokens with the prefix removed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::hub::is_external_data;
use super::onnx::{Graph, GraphFacts, Port};
use super::{Device, ModelError, ModelSpec, Runtime, RuntimeOptions, SizeRule};
use crate::metric::METRICS;
use crate::storage::{Map, StorageError};

/// Side of the picture that shows how many prefix tokens a graph has, in patches.
const PROBE_PATCHES: u32 = 4;

/// Between the names of outputs that are read together: a token is then those of all of them, each of unit length, one behind the
/// other.
pub const JOINT: char = '+';

/// What a caller may choose about a model.
#[derive(Clone, Debug, Default)]
pub struct ModelOptions {
    /// `fp32`, `fp16`, `int8`; the plain graph when none.
    pub variant: Option<String>,
    /// The output to read; the folder's choice when none. Several, joined by [`JOINT`], are read together.
    pub output: Option<String>,
    /// Values of the graph's extra inputs.
    pub inputs: BTreeMap<String, f64>,
    /// The ONNX Runtime library, and where it runs the graph.
    pub runtime: RuntimeOptions,
}

/// A model that was opened and understood. Sessions come from it.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the folder says.
    pub spec: ModelSpec,
    /// BLAKE3 of the graph and its external data, hexadecimal.
    pub digest: String,
    /// Name of the picture input.
    pub input: String,
    /// Name of the token output, or names of several.
    pub output: String,
    /// Tokens before the patches (CLS, registers).
    pub prefix_tokens: usize,
    /// Input sizes that the graph takes.
    pub sizes: SizeRule,
    /// Pictures that go through the graph together at most.
    pub batch_limit: usize,
    /// Inputs and outputs of the graph.
    pub facts: GraphFacts,
    /// Values of the extra inputs.
    pub inputs: BTreeMap<String, f64>,
    /// Where it runs.
    pub device: Device,
    /// Why a device that the library has was not taken, where nobody named one.
    pub passed_over: Option<String>,
    /// The names in `output`.
    outputs: Vec<String>,
    runtime: Runtime,
}

/// Patch tokens of a batch of equal pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// `batch * rows * cols` tokens of `dim` numbers.
    pub values: Vec<f32>,
    /// Patches from top to bottom.
    pub rows: u32,
    /// Patches from left to right.
    pub cols: u32,
    /// Numbers in a token.
    pub dim: usize,
}

impl Model {
    /// Opens a model folder: reads its JSON, loads the graph once, finds input, output, sizes and prefix.
    ///
    /// # Errors
    /// Everything that would keep the model from giving patch tokens, with the reason.
    pub fn open(dir: &Path, options: &ModelOptions) -> Result<Self, ModelError> {
        Self::load(dir, options, 1).map(|(model, _)| model)
    }

    /// Opens a model folder and keeps the session of `threads` threads that it was opened with.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn load(dir: &Path, options: &ModelOptions, threads: usize) -> Result<(Self, Session), ModelError> {
        let mut spec = ModelSpec::load(dir, options.variant.as_deref())?;
        let runtime = Runtime::find(options.runtime.library.as_deref())?;
        let digest = digest(&spec.graph)?;
        let (graph, device, passed_over) =
            Graph::start(&runtime, &spec.graph, threads, options.runtime.device)?;
        let facts = graph.facts().clone();
        let input = picture_input(&spec, &facts)?;
        let outputs = token_outputs(&spec, &facts, options.output.as_deref())?;
        check_inputs(&facts, &input.name, &options.inputs)?;
        // From here on nobody needs to know that a token may have several parts.
        spec.hidden_size *= outputs.len();
        let mut model = Self {
            digest,
            sizes: size_rule(&spec, input)?,
            batch_limit: batch_limit(&spec, input)?,
            input: input.name.clone(),
            output: outputs.join(&JOINT.to_string()),
            outputs,
            prefix_tokens: spec.prefix_tokens.unwrap_or_default(),
            inputs: options.inputs.clone(),
            facts,
            device,
            passed_over,
            runtime,
            spec,
        };
        let mut session = Session { prefix_tokens: model.spec.prefix_tokens, ..model.bind(graph) };
        model.prefix_tokens = model.probe_prefix(&mut session)?;
        session.prefix_tokens = Some(model.prefix_tokens);
        Ok((model, session))
    }

    /// A session of its own threads. Sessions of one model give the same tokens.
    ///
    /// # Errors
    /// [`ModelError::Load`].
    pub fn session(&self, threads: usize) -> Result<Session, ModelError> {
        Ok(self.bind(Graph::load(&self.runtime, &self.spec.graph, threads, self.device)?))
    }

    /// The digest of the graph in a folder, without loading it.
    ///
    /// # Errors
    /// A folder that is no model, or a graph that cannot be read.
    pub fn digest_of(dir: &Path, variant: &str) -> Result<String, ModelError> {
        digest(&ModelSpec::load(dir, Some(variant))?.graph)
    }

    /// The library and the device in use.
    pub fn runtime(&self) -> RuntimeOptions {
        RuntimeOptions { library: Some(self.runtime.library.clone()), device: Some(self.device) }
    }

    fn bind(&self, graph: Graph) -> Session {
        Session {
            graph,
            graph_file: self.spec.graph.clone(),
            input: self.input.clone(),
            outputs: self.outputs.clone(),
            scalars: self.inputs.iter().map(|(name, &value)| (name.clone(), value)).collect(),
            patch_px: self.spec.patch_px,
            part: self.spec.hidden_size / self.outputs.len(),
            prefix_tokens: Some(self.prefix_tokens),
        }
    }

    /// Runs one small grey picture and counts the tokens.
    fn probe_prefix(&self, session: &mut Session) -> Result<usize, ModelError> {
        let (width, height) = match self.sizes {
            SizeRule::Fixed { width, height } => (width, height),
            SizeRule::Dynamic => (PROBE_PATCHES * self.spec.patch_px, PROBE_PATCHES * self.spec.patch_px),
        };
        let grey = vec![0.0; 3 * (width * height) as usize];
        session.run(&grey, 1, width, height).map(|(_, prefix)| prefix)
    }
}

/// A model's graph, loaded, with threads of its own. Not shared between threads: take one each.
pub struct Session {
    graph: Graph,
    graph_file: PathBuf,
    input: String,
    outputs: Vec<String>,
    scalars: Vec<(String, f64)>,
    patch_px: u32,
    /// Numbers of a token in one output.
    part: usize,
    prefix_tokens: Option<usize>,
}

impl Session {
    /// Patch tokens of `batch` pictures `[batch, 3, height, width]`, prefix removed.
    ///
    /// # Errors
    /// What ONNX Runtime refused, or tokens that are not what the model folder says.
    pub fn embed(
        &mut self,
        pixels: &[f32],
        batch: usize,
        width: u32,
        height: u32,
    ) -> Result<Tokens, ModelError> {
        let (values, _) = self.run(pixels, batch, width, height)?;
        let (rows, cols) = (height / self.patch_px, width / self.patch_px);
        Ok(Tokens { values, rows, cols, dim: self.part * self.outputs.len() })
    }

    /// Patch tokens of each of these pictures `[3, height, width]`, which go through the graph together.
    ///
    /// # Errors
    /// As [`Session::embed`].
    pub fn embed_together(
        &mut self,
        pictures: &[&[f32]],
        width: u32,
        height: u32,
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        if let [pixels] = pictures {
            return Ok(vec![self.embed(pixels, 1, width, height)?.values]);
        }
        let tokens = self.embed(&pictures.concat(), pictures.len(), width, height)?.values;
        Ok(tokens.chunks_exact(tokens.len() / pictures.len()).map(<[f32]>::to_vec).collect())
    }

    fn run(
        &mut self,
        pixels: &[f32],
        batch: usize,
        width: u32,
        height: u32,
    ) -> Result<(Vec<f32>, usize), ModelError> {
        let patches = (width / self.patch_px) as usize * (height / self.patch_px) as usize;
        let (dim, fixed, patch_px) = (self.part, self.prefix_tokens, self.patch_px);
        let shape = [batch, 3, height as usize, width as usize];
        let graph_file = &self.graph_file;
        let take = |output: &str, shape: &[i64], values: &[f32]| {
            let (output, graph) = (output.to_owned(), graph_file.clone());
            let &[_, found, found_dim] = shape else {
                return Err(ModelError::HiddenSize { graph, output, found: 0, hidden_size: dim });
            };
            if found_dim as usize != dim {
                let found = found_dim as usize;
                return Err(ModelError::HiddenSize { graph, output, found, hidden_size: dim });
            }
            let found = found as usize;
            let prefix = match fixed {
                Some(prefix) if prefix + patches == found => prefix,
                None if found >= patches && found - patches <= 16 => found - patches,
                _ => {
                    let expected = match fixed {
                        Some(prefix) => format!("{prefix} prefix tokens are expected"),
                        None => "0 to 16 prefix tokens are expected".to_owned(),
                    };
                    return Err(ModelError::TokenCount {
                        graph,
                        output,
                        found,
                        patches,
                        expected,
                        width,
                        height,
                        patch_px,
                    });
                }
            };
            let mut kept = Vec::with_capacity(batch * patches * dim);
            for picture in values.chunks_exact(found * dim) {
                kept.extend_from_slice(&picture[prefix * dim..]);
            }
            // Without an early end, which would keep the compiler from testing many at once.
            match kept.iter().fold(true, |finite, value| finite & value.is_finite()) {
                true => Ok((kept, prefix)),
                false => Err(ModelError::NotFinite { width, height }),
            }
        };
        let parts = self.graph.run((&self.input, pixels), shape, &self.scalars, &self.outputs, take)?;
        let prefix = parts[0].1;
        if let Some((_, differs)) = parts.iter().find(|(_, other)| *other != prefix) {
            return Err(ModelError::OutputsDiffer {
                graph: self.graph_file.clone(),
                outputs: self.outputs.join(", "),
                tokens: [prefix + patches, differs + patches],
            });
        }
        Ok((joined(parts.into_iter().map(|(values, _)| values).collect(), dim), prefix))
    }
}

/// Tokens of several outputs as one: each part of unit length, one behind the other. The tokens of one output stay as they are.
fn joined(mut parts: Vec<Vec<f32>>, dim: usize) -> Vec<f32> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    parts.iter_mut().for_each(|part| METRICS[0].prepare(part, dim));
    let tokens = parts[0].len() / dim;
    (0..tokens)
        .flat_map(|token| parts.iter().flat_map(move |part| &part[token * dim..][..dim]))
        .copied()
        .collect()
}

/// Files of tensors beside the graph, in order of their names.
fn external_data(graph: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let (folder, name) = (graph.parent().unwrap_or(Path::new(".")), graph.file_name().unwrap_or_default());
    let entries = std::fs::read_dir(folder).map_err(StorageError::at("read", folder))?;
    let belongs = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        is_external_data(&file, &name.to_string_lossy())
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(belongs).collect();
    found.sort();
    Ok(found)
}

/// BLAKE3 of the graph, then of its external data where there is some.
fn digest(graph: &Path) -> Result<String, ModelError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&Map::open(graph)?);
    for path in external_data(graph)? {
        let data = Map::open(&path)?;
        hasher.update(&(data.len() as u64).to_le_bytes()).update(&data);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn list(ports: &[Port]) -> String {
    ports.iter().map(Port::to_string).collect::<Vec<_>>().join("; ")
}

fn picture_input<'a>(spec: &ModelSpec, facts: &'a GraphFacts) -> Result<&'a Port, ModelError> {
    let fits =
        |port: &&Port| port.shape.len() == 4 && matches!(port.shape[1], 3 | -1) && port.element == "f32";
    let named = facts.inputs.iter().filter(fits).find(|port| port.name == "pixel_values");
    named
        .or_else(|| facts.inputs.iter().find(fits))
        .ok_or_else(|| ModelError::NoPictureInput { graph: spec.graph.clone(), found: list(&facts.inputs) })
}

/// The names of the outputs to read.
fn token_outputs(
    spec: &ModelSpec,
    facts: &GraphFacts,
    named: Option<&str>,
) -> Result<Vec<String>, ModelError> {
    let whole = token_output(spec, facts, named);
    match named {
        Some(several) if whole.is_err() && several.contains(JOINT) => {
            several.split(JOINT).map(|name| Ok(token_output(spec, facts, Some(name))?.name.clone())).collect()
        }
        _ => Ok(vec![whole?.name.clone()]),
    }
}

/// The named output, the folder's choice, `last_hidden_state`, or the only one with the shape of tokens.
fn token_output<'a>(
    spec: &ModelSpec,
    facts: &'a GraphFacts,
    named: Option<&str>,
) -> Result<&'a Port, ModelError> {
    let none = || ModelError::NoTokenOutput {
        graph: spec.graph.clone(),
        hidden_size: spec.hidden_size,
        found: list(&facts.outputs),
    };
    let tokens = |port: &&Port| port.shape.len() == 3;
    let wanted = named.or(spec.output.as_deref());
    let found = match wanted {
        Some(name) => facts.outputs.iter().filter(tokens).find(|port| port.name == name),
        None => facts
            .outputs
            .iter()
            .filter(tokens)
            .find(|port| port.name == "last_hidden_state")
            .or_else(|| facts.outputs.iter().find(tokens)),
    };
    let port = found.ok_or_else(|| match wanted {
        Some(name) if facts.outputs.iter().any(|port| tokens(&port)) => ModelError::NoSuchOutput {
            graph: spec.graph.clone(),
            name: name.to_owned(),
            found: facts.outputs.iter().filter(tokens).map(|port| port.name.clone()).collect(),
        },
        _ => none(),
    })?;
    match port.shape[2] {
        dim if dim >= 0 && dim as usize != spec.hidden_size => Err(ModelError::HiddenSize {
            graph: spec.graph.clone(),
            output: port.name.clone(),
            found: dim as usize,
            hidden_size: spec.hidden_size,
        }),
        _ => Ok(port),
    }
}

fn batch_limit(spec: &ModelSpec, input: &Port) -> Result<usize, ModelError> {
    match input.shape[0] {
        1 => Ok(1),
        open if open < 1 => Ok(usize::MAX),
        batch => Err(ModelError::FixedBatch { graph: spec.graph.clone(), batch }),
    }
}

fn size_rule(spec: &ModelSpec, input: &Port) -> Result<SizeRule, ModelError> {
    let (height, width) = (input.shape[2], input.shape[3]);
    if height < 0 || width < 0 {
        return Ok(SizeRule::Dynamic);
    }
    let (width, height) = (width as u32, height as u32);
    match width.is_multiple_of(spec.patch_px)
        && height.is_multiple_of(spec.patch_px)
        && width > 0
        && height > 0
    {
        true => Ok(SizeRule::Fixed { width, height }),
        false => {
            let graph = spec.graph.clone();
            Err(ModelError::FixedSize { graph, width, height, patch_px: spec.patch_px })
        }
    }
}

fn check_inputs(facts: &GraphFacts, picture: &str, given: &BTreeMap<String, f64>) -> Result<(), ModelError> {
    let extra = || facts.inputs.iter().filter(|port| port.name != picture);
    if let Some(port) = extra().find(|port| !given.contains_key(&port.name)) {
        return Err(ModelError::MissingInput { name: port.name.clone() });
    }
    match given.keys().find(|name| !extra().any(|port| &port.name == *name)) {
        Some(name) => Err(ModelError::UnknownInput { name: name.clone(), found: list(&facts.inputs) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_token_have_unit_length_and_stand_one_behind_the_other() {
        assert_eq!(joined(vec![vec![3.0, 4.0, 8.0, 0.0]], 2), [3.0, 4.0, 8.0, 0.0]);
        let both = joined(vec![vec![3.0, 4.0, 8.0, 0.0], vec![0.0, 2.0, 0.0, 0.0]], 2);
        assert_eq!(both, [0.6, 0.8, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
