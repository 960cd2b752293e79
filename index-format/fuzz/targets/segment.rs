//! Any bytes through `readers::segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::segment(data));
