//! Any bytes through `readers::vector_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::vector_file(data));
