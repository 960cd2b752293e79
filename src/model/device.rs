//! Devices that a graph can run on, as ONNX Runtime's execution providers name them.

use serde::{Serialize, Serializer};

/// Where a graph runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// NVIDIA's CUDA.
    Cuda,
    /// NVIDIA's TensorRT, which compiles a graph for each size of input.
    TensorRt,
    /// Apple's Core ML.
    CoreMl,
    /// Microsoft's DirectML.
    DirectMl,
    /// Intel's OpenVINO.
    OpenVino,
}

impl Device {
    /// Every device.
    pub const ALL: [Self; 6] =
        [Self::Cpu, Self::Cuda, Self::TensorRt, Self::CoreMl, Self::DirectMl, Self::OpenVino];
    /// Those that are tried where nobody says which, in turn. The others compile graphs for minutes or want fixed sizes.
    pub(super) const TRIED: [Self; 3] = [Self::Cuda, Self::DirectMl, Self::Cpu];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
            Self::CoreMl => "coreml",
            Self::DirectMl => "directml",
            Self::OpenVino => "openvino",
        }
    }

    /// The device of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    /// Sessions that run at the same time on a machine of so many threads. A session of one thread for each core is fastest on a
    /// processor; elsewhere one copies while another computes.
    pub fn sessions(self, threads: usize) -> usize {
        match self {
            Self::Cpu => threads,
            _ => threads.min(2),
        }
    }

    /// Pictures of one size that go through a graph together where nobody says how many. A processor is as busy with one; elsewhere
    /// four are nearly as fast as sixteen, and take a quarter of the memory.
    pub fn batch(self) -> usize {
        match self {
            Self::Cpu => 1,
            _ => 4,
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_known_by_its_name_and_the_processor_is_the_last_resort() {
        for device in Device::ALL {
            assert_eq!(Device::named(device.name()), Some(device));
        }
        assert_eq!(Device::named("gpu"), None);
        assert_eq!(Device::TRIED.last(), Some(&Device::Cpu));
        assert_eq!((Device::Cpu.sessions(8), Device::Cuda.sessions(8), Device::Cuda.sessions(1)), (8, 2, 1));
    }
}
