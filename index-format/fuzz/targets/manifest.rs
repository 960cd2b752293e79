//! Any bytes through `readers::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::manifest(data));
