//! ONNX sessions: loading a graph, its inputs and outputs, running it. The only file that imports `ort`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session as OrtSession, SessionInputValue};
use ort::value::{Tensor, TensorElementType, TensorRef, ValueType};

use super::{Device, ModelError, Runtime, RuntimeError};

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element type as ONNX Runtime names it.
    pub element: String,
    /// Sides; -1 where the graph leaves them open.
    pub shape: Vec<i64>,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sides: Vec<String> =
            self.shape.iter().map(|&side| if side < 0 { "?".to_owned() } else { side.to_string() }).collect();
        write!(f, "'{}' {} [{}]", self.name, self.element, sides.join(", "))
    }
}

/// Inputs and outputs of a graph, in its own order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct GraphFacts {
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
}

/// One loaded graph with its own threads.
pub struct Graph {
    session: OrtSession,
    facts: GraphFacts,
}

impl Graph {
    /// Loads the graph on the device that is `wanted`; without one, on the first that the library has and that works, with what others
    /// said that did not.
    pub fn start(
        runtime: &Runtime,
        path: &Path,
        threads: usize,
        wanted: Option<Device>,
    ) -> Result<(Self, Device, Option<String>), ModelError> {
        let environment = environment(runtime)?;
        let found: Vec<Device> =
            Device::ALL.into_iter().filter(|device| is_there(*device, &environment)).collect();
        if let Some(device) = wanted {
            let library = runtime.library.clone();
            return match found.contains(&device) {
                true => Ok((Self::load(runtime, path, threads, device)?, device, None)),
                false => {
                    let found = found.into_iter().map(Device::name).collect();
                    Err(ModelError::NoDevice { device, library, found })
                }
            };
        }
        let tried =
            Device::TRIED.into_iter().filter(|device| *device != Device::Cpu && found.contains(device));
        let mut passed_over = None;
        for device in tried {
            match Self::load(runtime, path, threads, device) {
                Ok(graph) => return Ok((graph, device, passed_over)),
                Err(error) => passed_over = Some(error.to_string()),
            }
        }
        Ok((Self::load(runtime, path, threads, Device::Cpu)?, Device::Cpu, passed_over))
    }

    /// Loads the graph on a device, with `threads` threads for one run.
    pub fn load(runtime: &Runtime, path: &Path, threads: usize, device: Device) -> Result<Self, ModelError> {
        let environment = environment(runtime)?;
        let refused = |error: ort::Error| ModelError::Device {
            device,
            library: runtime.library.clone(),
            reason: first_line(&error.to_string()),
        };
        let load = |reason: String| ModelError::Load { graph: path.to_owned(), reason: first_line(&reason) };
        let session = OrtSession::builder(&environment)
            .map_err(|error| load(error.to_string()))?
            .with_optimization_level(GraphOptimizationLevel::All)
            .map_err(|error| load(error.to_string()))?
            .with_intra_threads(threads)
            .map_err(|error| load(error.to_string()))?
            // Spinning threads halve the speed of the stages that run beside inference.
            .with_intra_op_spinning(false)
            .map_err(|error| load(error.to_string()))?
            .with_execution_providers(providers(device))
            .map_err(|error| refused(error.into()))?
            .commit_from_file(path)
            .map_err(|error| load(error.to_string()))?;
        let facts = GraphFacts {
            inputs: session.inputs().iter().map(|port| describe(port.name(), port.dtype())).collect(),
            outputs: session.outputs().iter().map(|port| describe(port.name(), port.dtype())).collect(),
        };
        Ok(Self { session, facts })
    }

    /// Inputs and outputs.
    pub fn facts(&self) -> &GraphFacts {
        &self.facts
    }

    /// Runs pictures `[batch, 3, height, width]` and hands each of `outputs`, with its name and shape, to `take`.
    pub fn run<R>(
        &mut self,
        picture: (&str, &[f32]),
        shape: [usize; 4],
        scalars: &[(String, f64)],
        outputs: &[String],
        mut take: impl FnMut(&str, &[i64], &[f32]) -> Result<R, ModelError>,
    ) -> Result<Vec<R>, ModelError> {
        let failed = |error: ort::Error| ModelError::Run {
            width: shape[3] as u32,
            height: shape[2] as u32,
            reason: first_line(&error.to_string()),
        };
        let pixels = TensorRef::from_array_view((shape, picture.1)).map_err(failed)?;
        let mut inputs: Vec<(String, SessionInputValue<'_>)> = vec![(picture.0.to_owned(), pixels.into())];
        for (name, value) in scalars {
            inputs.push((name.clone(), self.scalar(name, *value).map_err(failed)?));
        }
        let given = self.session.run(inputs).map_err(failed)?;
        let mut taken = Vec::with_capacity(outputs.len());
        for output in outputs {
            let (shape, tokens) = given[output.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
            taken.push(take(output, shape, tokens)?);
        }
        Ok(taken)
    }

    /// A one-number tensor of the input's own rank and element type.
    fn scalar(&self, name: &str, value: f64) -> ort::Result<SessionInputValue<'static>> {
        let port = self.facts.inputs.iter().find(|port| port.name == name);
        let shape = vec![1usize; port.map_or(1, |port| port.shape.len())];
        if port.is_some_and(|port| port.element == TensorElementType::Int64.to_string()) {
            return Ok(Tensor::from_array((shape, vec![value as i64]))?.into());
        }
        Ok(Tensor::from_array((shape, vec![value as f32]))?.into())
    }
}

/// The provider of a device; none for the processor, which every library has. One that cannot start is an error.
fn providers(device: Device) -> Vec<ExecutionProviderDispatch> {
    let provider = match device {
        Device::Cpu => return Vec::new(),
        // Trying every kernel anew for each size of picture takes longer than most pictures.
        Device::Cuda => {
            ep::CUDA::default().with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic).build()
        }
        Device::TensorRt => ep::TensorRT::default().build(),
        Device::CoreMl => ep::CoreML::default().build(),
        Device::DirectMl => ep::DirectML::default().build(),
        Device::OpenVino => ep::OpenVINO::default().build(),
    };
    vec![provider.error_on_failure()]
}

/// Whether the library has the provider of a device. (The environment shows that the library is loaded.)
fn is_there(device: Device, _loaded: &Environment) -> bool {
    let found = match device {
        Device::Cpu => return true,
        Device::Cuda => ep::CUDA::is_available(),
        Device::TensorRt => ep::TensorRT::is_available(),
        Device::CoreMl => ep::CoreML::is_available(),
        Device::DirectMl => ep::DirectML::is_available(),
        Device::OpenVino => ep::OpenVINO::is_available(),
    };
    found.unwrap_or(false)
}

fn describe(name: &str, value: &ValueType) -> Port {
    let (element, shape) = match value {
        ValueType::Tensor { ty, shape, .. } => (ty.to_string(), shape.to_vec()),
        other => (format!("{other:?}"), Vec::new()),
    };
    Port { name: name.to_owned(), element, shape }
}

/// The process's one environment, made by the first caller. The library of that first call stays loaded.
fn environment(runtime: &Runtime) -> Result<Environment, ModelError> {
    static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*slot {
        return Ok(environment.clone());
    }
    let broken =
        |reason: String| RuntimeError::Broken { path: runtime.library.clone(), reason: first_line(&reason) };
    let environment = ort::init_from(&runtime.library)
        .map_err(|error| broken(error.to_string()))?
        .with_name("patchdex")
        .with_telemetry(false)
        .build()
        .map_err(|error| broken(error.to_string()))?;
    *slot = Some(environment.clone());
    Ok(environment)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
