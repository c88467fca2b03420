//! A whole UsChat installation in one process. `topology --help` lists its options.

fn main() -> std::process::ExitCode {
    uschat_examples::topology::main()
}
