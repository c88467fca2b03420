#![no_main]
// A target needs some of the shared checks.
#![allow(dead_code)]

#[path = "../../tests/checks/mod.rs"]
mod checks;
#[path = "../../tests/pattern/mod.rs"]
mod pattern;
#[path = "../../tests/reference/mod.rs"]
mod reference;
#[path = "../../tests/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::encode::check(input));
