//! Which precision of a model fits the machine.

use std::path::Path;

use super::{Device, ModelSpec};

/// A graph of a model folder, and why it is the one to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recommendation {
    /// `fp32`, `fp16` or `int8`.
    pub variant: &'static str,
    /// Why, as a sentence without its full stop.
    pub reason: &'static str,
}

impl Recommendation {
    /// The variant in folder `dir` that is fastest on this machine and gives nearly the tokens of fp32, where it runs on `device`.
    pub fn of(dir: &Path, device: Device) -> Self {
        let has = |variant: &str| ModelSpec::load(dir, Some(variant)).is_ok();
        Self::among(device, multiplies_bytes(), &has)
    }

    fn among(device: Device, multiplies_bytes: bool, has: &dyn Fn(&str) -> bool) -> Self {
        let (variant, reason) = match device {
            Device::Cpu if !multiplies_bytes => {
                ("fp32", "this CPU has no instructions that multiply bytes, and fp16 gains nothing on one")
            }
            Device::Cpu if has("int8") => ("int8", "this CPU has instructions that multiply bytes"),
            Device::Cpu => (
                "fp32",
                "the folder has no int8; tools/export --quantize dynamic makes it, which is faster on this CPU",
            ),
            Device::Cuda => {
                ("fp32", "CUDA computes it in TensorFloat-32, which is as fast as fp16 and nearer")
            }
            _ if has("fp16") => ("fp16", "devices beside the CPU are faster with it"),
            _ => ("fp32", "the folder has no fp16; tools/export --quantize fp16 makes it"),
        };
        Self { variant, reason }
    }
}

/// Whether the CPU adds up products of bytes in one instruction.
fn multiplies_bytes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("dotprod");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_where_the_cpu_multiplies_them_and_halves_where_nothing_better_is() {
        let all = |_: &str| true;
        let only_fp32 = |variant: &str| variant == "fp32";
        for (device, multiplies_bytes, has, variant) in [
            (Device::Cpu, true, &all as &dyn Fn(&str) -> bool, "int8"),
            (Device::Cpu, false, &all, "fp32"),
            (Device::Cpu, true, &only_fp32, "fp32"),
            (Device::Cuda, true, &all, "fp32"),
            (Device::CoreMl, true, &all, "fp16"),
            (Device::CoreMl, true, &only_fp32, "fp32"),
        ] {
            assert_eq!(Recommendation::among(device, multiplies_bytes, has).variant, variant);
        }
    }
}
