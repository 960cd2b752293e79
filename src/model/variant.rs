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
    /// The variant in folder `dir` that is fastest on this machine and gives nearly the tokens of fp32. `wanted` is where it will run.
    pub fn of(dir: &Path, wanted: Option<Device>) -> Self {
        let has = |variant: &str| ModelSpec::load(dir, Some(variant)).is_ok();
        let on_cpu = wanted.is_none_or(|device| device == Device::Cpu);
        Self::among(on_cpu, multiplies_bytes(), &has)
    }

    fn among(on_cpu: bool, multiplies_bytes: bool, has: &dyn Fn(&str) -> bool) -> Self {
        let (variant, reason) = match () {
            () if !on_cpu && has("fp16") => ("fp16", "devices beside the CPU are faster with it"),
            () if !on_cpu => ("fp32", "the folder has no fp16; tools/export --quantize fp16 makes it"),
            () if !multiplies_bytes => {
                ("fp32", "this CPU has no instructions that multiply bytes, and fp16 gains nothing on one")
            }
            () if has("int8") => ("int8", "this CPU has instructions that multiply bytes"),
            () => (
                "fp32",
                "the folder has no int8; tools/export --quantize dynamic makes it, which is faster on this CPU",
            ),
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
    fn bytes_are_taken_where_the_cpu_multiplies_them_and_halves_elsewhere_than_on_a_cpu() {
        let all = |_: &str| true;
        let only_fp32 = |variant: &str| variant == "fp32";
        for (on_cpu, multiplies_bytes, has, variant) in [
            (true, true, &all as &dyn Fn(&str) -> bool, "int8"),
            (true, false, &all, "fp32"),
            (true, true, &only_fp32, "fp32"),
            (false, true, &all, "fp16"),
            (false, true, &only_fp32, "fp32"),
        ] {
            assert_eq!(Recommendation::among(on_cpu, multiplies_bytes, has).variant, variant);
        }
    }
}
