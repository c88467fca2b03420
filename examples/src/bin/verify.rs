//! The verification server, alone in its process. `verify --help` lists its options.

#![forbid(unsafe_code)]

/// Every text is a few dozen small allocations, many of them freed by another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    uschat_examples::crypto::install();
    uschat_examples::server::main(uschat_examples::config::Role::Verify)
}
