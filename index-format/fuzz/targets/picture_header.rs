//! Any bytes through `readers::picture_header`.
#![no_main]

// The decoders' panics are caught where they happen; the fuzzer's own hook would end the process before that.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| patchdex_fuzz::readers::picture_header(data)
);
