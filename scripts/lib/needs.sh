# What the tests need, where it comes from, and how it is installed. Sourced by the scripts beside this folder.

SCRIPT=scripts/$(basename "$0")
# The oldest compiler that every crate of the workspace builds with.
RUST_VERSION=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# name | how to find it | apt package | dnf package | brew package; no package: rustup has it
NEEDS=(
    "cargo|command -v cargo|||"
    "rustc $RUST_VERSION or newer|has_rustc|||"
    "clippy|cargo clippy --version|||"
    "rustfmt|cargo fmt --version|||"
    "cc (a C compiler)|command -v cc|gcc libc6-dev|gcc|gcc"
    "c++ (a C++ compiler)|command -v c++|g++|gcc-c++|gcc"
)
SERVER_NEEDS=(
    "redis-server|command -v redis-server|redis-server|redis|redis"
    "mariadbd|has_mariadbd|mariadb-server|mariadb-server|mariadb"
    "aiosmtpd (Python 3)|has_aiosmtpd|python3-aiosmtpd|python3-aiosmtpd|aiosmtpd"
    "libfaketime|has_libfaketime|libfaketime|libfaketime|libfaketime"
)

has_rustc() {
    local found
    found=$(rustc --version | cut -d' ' -f2) &&
        [ "$(printf '%s\n' "$RUST_VERSION" "$found" | sort -V | head -n1)" = "$RUST_VERSION" ]
}

# Debian keeps servers where only root's PATH looks.
has_mariadbd() {
    command -v mariadbd || [ -x /usr/sbin/mariadbd ]
}

# The system's Python has Debian's package; another one first on PATH need not.
has_aiosmtpd() {
    /usr/bin/python3 -c 'import aiosmtpd.smtp' || python3 -c 'import aiosmtpd.smtp'
}

# missing SERVERS: the lines of what is missing; the servers count if SERVERS is true.
missing() {
    local need find
    local -a needs=("${NEEDS[@]}")
    if $1; then needs+=("${SERVER_NEEDS[@]}"); fi
    for need in "${needs[@]}"; do
        find=$(cut -d'|' -f2 <<<"$need")
        $find >/dev/null 2>&1 || echo "$need"
    done
}

# Loaded into our processes to set their clock; the tests that do it are for Linux.
has_libfaketime() {
    [ "$(uname)" != Linux ] || compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' ||
        compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'
}

# column NUMBER: the packages in that column of the lines read, once each.
column() {
    cut -d'|' -f"$1" | tr ' ' '\n' | sed '/^$/d' | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# Ends the script with status 2 if something is missing, after saying what and how to get it.
require_all() {
    local lines rust
    lines=$(missing "$1")
    [ -n "$lines" ] || return 0
    rust=$(awk -F'|' '$3 == ""' <<<"$lines")
    {
        echo "Missing: $(cut -d'|' -f1 <<<"$lines" | paste -sd, | sed 's/,/, /g')"
        if [ -n "$rust" ]; then
            echo "  rustup  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh; rustup update stable; rustup component add clippy rustfmt"
        fi
        if [ -n "$(column 3 <<<"$lines")" ]; then
            echo "  apt     sudo apt-get install $(column 3 <<<"$lines")"
            echo "  dnf     sudo dnf install $(column 4 <<<"$lines")"
            echo "  brew    brew install $(column 5 <<<"$lines")"
            echo "On Debian and its kin, $SCRIPT --install does the apt line without starting services."
        fi
    } >&2
    exit 2
}

# Installs missing Debian packages. A missing Rust toolchain is left to the reader: how to get it is their choice.
install_missing() {
    local packages
    packages=$(missing "$1" | column 3)
    [ -n "$packages" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "$SCRIPT: --install: there is no apt-get here; install by hand:" >&2
        require_all "$1"
    fi
    heading "install: $packages"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
    # shellcheck disable=SC2086 # one argument a package
    "${as_root[@]}" bash -s -- $packages <<'ROOT'
set -euo pipefail
# Package scripts ask this file whether they may start a service; 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends "$@" </dev/null
ROOT
}
