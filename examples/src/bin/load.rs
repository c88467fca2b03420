//! Drives a running topology with texts, and measures what it does.
//!
//! ```text
//! cargo run --release --bin load -- --ready-file ready.json --pairs 16 --window 32
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    uschat_examples::load::main()
}
