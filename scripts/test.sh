#!/usr/bin/env bash
# Runs every check and test of the workspace. `scripts/test.sh --help` tells more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib/needs.sh
source scripts/lib/steps.sh

usage() {
    cat <<'TEXT'
Usage: scripts/test.sh [--install] [--no-servers]

Checks format, lints, documentation, features and dependencies, builds the binaries, and runs all tests.

  --install      first install what is missing from Debian's packages, with sudo if not root;
                 no service is started
  --no-servers   do without redis-server, mariadbd and aiosmtpd; the last line says what was left out
  --help         this text

Without --install, what is missing is listed with the commands that install it, and the exit status is 2.
The summary at the end is a line "N passed, N failed". The exit status is 0 only if everything passed.
TEXT
}

install=false
servers=true
for argument in "$@"; do
    case $argument in
        --install) install=true ;;
        --no-servers) servers=false ;;
        --help | -h) usage && exit 0 ;;
        *) echo "scripts/test.sh: $argument: there is no such option; see scripts/test.sh --help" >&2 && exit 2 ;;
    esac
done

# Where rustup puts the tools, if the shell has not been told.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if $install; then
    install_missing "$servers"
fi
require_all "$servers"

# A variable of ours would change what the tests start.
for variable in $(compgen -e USCHAT_ || true); do
    unset "$variable"
done

step "format" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" step "documentation" cargo doc --workspace --no-deps --all-features
step "features" scripts/features.sh
# The two that the README starts with: each binary is optimised as a whole, and the single servers are the same code.
step "binaries" cargo build --release --bin topology --bin client
# The path of every test that starts a server of another project has this word.
skips=()
if ! $servers; then
    skips=(-- --skip real_server)
fi
tests "tests" cargo test --workspace --all-features --no-fail-fast ${skips[@]+"${skips[@]}"}

summary
if ! $servers; then
    echo "left out (--no-servers): tests against redis-server, mariadbd and aiosmtpd"
fi
exit "$(exit_status)"
