//! A whole UsChat installation, in one process or in one for each server. `topology --help` lists its options.

#![forbid(unsafe_code)]

/// Every text is a few dozen small allocations, many of them freed by another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    uschat_examples::crypto::install();
    uschat_examples::topology::main()
}
