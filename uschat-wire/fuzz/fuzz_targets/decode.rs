#![no_main]
// A target needs some of the shared checks.
#![allow(dead_code)]

#[path = "../../tests/frames/checks/mod.rs"]
mod checks;
#[path = "../../tests/frames/pattern/mod.rs"]
mod pattern;
#[path = "../../tests/frames/reference/mod.rs"]
mod reference;
#[path = "../../tests/frames/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::decode::check(input));
