#!/usr/bin/env bash
# What is too long or too special for scripts/test.sh. `scripts/deep.sh --help` tells more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/needs.sh
source scripts/lib/steps.sh
source scripts/lib/fuzz.sh

STEPS=(fuzz properties instructions kills battery miri)

usage() {
    cat <<'TEXT'
Usage: scripts/deep.sh [OPTION...] [STEP...]

Steps, all of them in this order if none is named:
  fuzz          coverage-guided fuzzing of the frames: uschat-wire/fuzz, built on stable without cargo-fuzz;
                what it finds worth keeping goes to target/fuzz/corpus, an input that fails to target/fuzz/artifacts
  properties    the property tests of the frames with a million cases each
  instructions  instructions per frame, counted by valgrind, against the recorded figures
  kills         redis-server and mariadbd are killed and started again under load, 50 times each: nothing that was safe
                to repeat fails, and the pools recover within a second; prints how fast
  battery       faults of servers, databases, networks and clocks under load, over and over, judged by the oracle
                (examples/tests/battery/); the table goes to target/battery.md, the journal and the servers' log of a
                run that fails to target/battery
  miri          the frames under Miri; left out if there is no nightly toolchain with it

and one that is only run when named:
  corpus        takes over into uschat-wire/fuzz/corpus what target/fuzz/corpus reaches beyond it

  --runs N      executions of each fuzz target, default 34000000: 10^8 in all, about half an hour
  --seconds N   time for each fuzz target, instead of a number of executions
  --cases N     cases of each property, default 1000000: some minutes
  --kills N     how often each server is killed, default 50: two minutes
  --rounds N    how often each fault of the battery is repeated, default 30: about half an hour
  --seed N      decides the choices of the battery; by default each run draws its own and says it
  --install     first install what is missing from Debian's packages, with sudo if not root
  --help        this text

Without --install, what is missing is listed with the commands that install it, and the exit status is 2.
The summary at the end is a line "N passed, N failed". The exit status is 0 only if everything passed.
TEXT
}

refuse() {
    echo "scripts/deep.sh: $1; see scripts/deep.sh --help" >&2
    exit 2
}

install=false
runs=34000000
seconds=
cases=1000000
kills=50
rounds=30
seed=
chosen=()
while [ $# -gt 0 ]; do
    case $1 in
        --runs | --seconds | --cases | --kills | --rounds)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || refuse "$1: a whole number above zero must follow"
            declare "${1#--}=$2"
            shift
            ;;
        --seed)
            [[ ${2:-} =~ ^[0-9]+$ ]] || refuse "$1: a whole number must follow"
            seed=$2
            shift
            ;;
        --install) install=true ;;
        --help | -h) usage && exit 0 ;;
        fuzz | properties | instructions | kills | battery | miri | corpus) chosen+=("$1") ;;
        *) refuse "$1: there is no such option or step" ;;
    esac
    shift
done
[ "${#chosen[@]}" -ne 0 ] || chosen=("${STEPS[@]}")
if [[ " ${chosen[*]} " == *" instructions "* ]]; then
    NEEDS+=("valgrind|command -v valgrind|valgrind|valgrind|valgrind")
fi

servers=false
[[ " ${chosen[*]} " != *" kills "* && " ${chosen[*]} " != *" battery "* ]] || servers=true

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if $install; then
    install_missing "$servers"
fi
require_all "$servers"

# Lines for the end: steps that were not run.
left_out=()

fuzz() {
    step "build the fuzz targets" fuzz_build
    local target
    for target in $(fuzz_targets); do
        step "fuzz $target" fuzz_run "$target" "$runs" "$seconds"
    done
}

corpus() {
    step "build the fuzz targets" fuzz_build
    local target
    for target in $(fuzz_targets); do
        step "corpus of $target" fuzz_merge "$target"
    done
}

properties() {
    PROPTEST_CASES=$cases tests "properties, $cases cases each" \
        cargo test --release -p uschat-wire --all-features --test frames -- properties
}

instructions() {
    step "instructions" cargo bench -p uschat-benches --bench instructions -- --strict
}

kills() {
    USCHAT_KILLS=$kills tests "recovery, $kills kills each" \
        cargo test -p uschat-pool --all-features --test redis --test sql -- --nocapture killed restarts
}

# One test at a time: each of them keeps the machine busy by itself.
battery() {
    rm -f target/battery.md
    USCHAT_BATTERY_ROUNDS=$rounds tests "battery, $rounds rounds" \
        env ${seed:+"USCHAT_BATTERY_SEED=$seed"} \
        cargo test -p uschat-examples --no-fail-fast --test battery -- --nocapture --test-threads 1
    [ ! -e target/battery.md ] || cat target/battery.md
}

# The crate has no unsafe code. What is checked is how it uses the code that has.
miri() {
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        left_out+=("miri: there is no nightly toolchain with it; rustup toolchain install nightly --component miri")
        return
    fi
    export MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=16
    tests "miri" cargo +nightly miri test -p uschat-wire --all-features --lib
    tests "miri" cargo +nightly miri test -p uschat-wire --all-features --test frames --test io -- golden properties codec
}

for name in "${chosen[@]}"; do
    "$name"
done

summary
for line in ${left_out[@]+"${left_out[@]}"}; do
    echo "left out: $line"
done
exit "$(exit_status)"
