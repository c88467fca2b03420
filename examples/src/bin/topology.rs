//! A whole UsChat installation, in one process or in one for each server. `topology --help` lists its options.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uschat_examples::crypto::install();
    uschat_examples::topology::main()
}
