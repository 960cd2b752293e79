//! Any bytes through `readers::metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::metadata(data));
