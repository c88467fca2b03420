#!/usr/bin/env bash
# A workspace build unifies features, so it hides a library that compiles only with another one's. This checks each
# library alone, without features and with each one, and that what a library must not know is absent from its tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# alone CRATE [FEATURE...]: without features, then with each of the given ones.
alone() {
    local crate=$1 feature
    shift
    echo "    $crate"
    cargo check --quiet -p "$crate" --lib --no-default-features
    for feature in "$@"; do
        echo "    $crate --features $feature"
        cargo check --quiet -p "$crate" --lib --no-default-features --features "$feature"
    done
}

# features CRATE: the names of its features, as its manifest has them.
features() {
    sed -n '/^\[features\]/,/^\[[^f]/s/^\([a-z0-9_-]*\) = .*/\1/p' "$1/Cargo.toml" | grep -vx default || true
}

# absent CRATE NAME...: none of these is in the tree of the crate without features.
absent() {
    local crate=$1 name tree
    shift
    tree=$(cargo tree -p "$crate" -e normal --no-default-features --prefix none --format '{p}' | cut -d' ' -f1)
    for name in "$@"; do
        if grep -qx -- "$name" <<<"$tree"; then
            echo "$crate without features depends on $name" >&2
            return 1
        fi
    done
}

for crate in uschat-wire uschat-proto uschat-pool uschat-server uschat-client; do
    # shellcheck disable=SC2046 # one argument a feature
    alone "$crate" $(features "$crate")
done

absent uschat-wire tokio tokio-util serde uschat-proto
absent uschat-proto tokio tonic prost uschat-wire
absent uschat-pool tonic sqlx redis uschat-wire uschat-proto uschat-server
absent uschat-server axum tonic sqlx redis hyper lettre argon2 uschat-pool
absent uschat-client uschat-server uschat-pool axum tonic sqlx redis
if cargo tree -p uschat-examples -e normal,build --target all --prefix none --format '{p}' | grep -E '^(openssl|openssl-sys|native-tls|aws-lc-rs|aws-lc-sys) '; then
    echo "rustls with ring is the only TLS of this workspace" >&2
    exit 1
fi

# These two know bytes and values: no socket, no file, no clock, no runtime. Examples in their documentation may.
if grep -rnE 'std::(net|fs|io::(Read|Write)|thread|process)|tokio::(net|fs|time|spawn)|Instant|SystemTime' \
    uschat-wire/src uschat-proto/src --include='*.rs' --exclude-dir=generated | grep -vE '^[^:]+:[0-9]+: *//[/!]'; then
    echo "uschat-wire and uschat-proto never do I/O" >&2
    exit 1
fi

# The core of uschat-wire in a program without std. It can only be built if nothing in it asks for std, which is seen by
# asking for it.
no_std() {
    cargo "$1" --quiet --manifest-path uschat-wire/no_std/Cargo.toml --target-dir target/no_std "${@:2}"
}
echo "    uschat-wire in a program without std"
no_std run
if output=$(no_std build --features std 2>&1) || ! grep -q 'duplicate lang item .panic_impl.' <<<"$output"; then
    echo "$output" >&2
    echo "uschat-wire/no_std proves nothing: with std it must fail to build for having two panic handlers" >&2
    exit 1
fi
# Where a target without an operating system is installed, the core is checked for it too.
if command -v rustup >/dev/null; then
    for target in $(rustup target list --installed | grep -e '-none' || true); do
        echo "    uschat-wire --target $target"
        cargo check --quiet -p uschat-wire --lib --no-default-features --target "$target"
    done
fi
for alone in fuzz no_std; do
    cargo fmt --check --manifest-path "uschat-wire/$alone/Cargo.toml"
done
