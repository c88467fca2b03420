//! The verification server, alone in its process. `verify --help` lists its options.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uschat_examples::crypto::install();
    uschat_examples::server::main(uschat_examples::config::Role::Verify)
}
