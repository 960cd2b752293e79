//! Any bytes through `readers::preparation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchdex_fuzz::readers::preparation(data));
