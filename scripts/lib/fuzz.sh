# Builds and runs the targets of uschat-wire/fuzz with libFuzzer. It needs a stable toolchain and a C++ compiler: the coverage
# comes from LLVM's pass, and the sanitizers of a nightly would find little in a crate without unsafe code. Sourced by
# scripts/deep.sh.

FUZZ_DIR=uschat-wire/fuzz
FUZZ_OUT=target/fuzz
FUZZ_FLAGS=(
    -Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=3
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Ccodegen-units=1
    --cfg fuzzing
)

fuzz_targets() {
    local file
    for file in "$FUZZ_DIR"/fuzz_targets/*.rs; do
        basename "$file" .rs
    done
}

fuzz_host() {
    rustc -vV | sed -n 's/^host: //p'
}

fuzz_build() {
    # With a --target, the flags are not for build scripts.
    RUSTFLAGS="${FUZZ_FLAGS[*]}" cargo build --release --manifest-path "$FUZZ_DIR/Cargo.toml" \
        --target "$(fuzz_host)" --target-dir "$FUZZ_OUT"
}

# fuzzer TARGET ARGUMENT...: the target's program. What it finds is kept in the first corpus that the arguments name.
fuzzer() {
    local target=$1
    shift
    mkdir -p "$FUZZ_OUT/corpus/$target" "$FUZZ_OUT/artifacts"
    "$FUZZ_OUT/$(fuzz_host)/release/$target" "$@" -artifact_prefix="$FUZZ_OUT/artifacts/$target-" -print_final_stats=1
}

# fuzz_run TARGET RUNS SECONDS: so many executions, or so long if SECONDS is given. One in ten counts how often an edge is
# taken and has long inputs; the rest tells edges only, which is several times faster.
fuzz_run() {
    local target=$1 bound=runs amount=$2
    if [ -n "$3" ]; then bound=max_total_time amount=$3; fi
    local corpora=("$FUZZ_OUT/corpus/$target" "$FUZZ_DIR/corpus/$target")
    fuzzer "$target" "${corpora[@]}" "-$bound=$(((amount + 9) / 10))" -max_len=2000 &&
        fuzzer "$target" "${corpora[@]}" "-$bound=$amount" -max_len=256 -use_counters=0 -entropic=0
}

# fuzz_merge TARGET: adds to the corpus in the tree the smallest set of small inputs that reach what it does not.
fuzz_merge() {
    fuzzer "$1" -set_cover_merge=1 -use_counters=0 -max_len=512 "$FUZZ_DIR/corpus/$1" "$FUZZ_OUT/corpus/$1"
}
