//! Any bytes through `readers::images`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::images(data));
