//! The status server, alone in its process. `status --help` lists its options.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uschat_examples::crypto::install();
    uschat_examples::server::main(uschat_examples::config::Role::Status)
}
