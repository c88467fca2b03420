# Runs named steps one after another, whatever became of those before, and counts. Sourced by the scripts beside this folder.

BEGIN=$SECONDS
PASSED=0
FAILED=0
FAILED_STEPS=()

# heading TEXT: a line that stands out, with the seconds since the start.
heading() {
    printf '\n==> [%4d s] %s\n' "$((SECONDS - BEGIN))" "$*"
}

# step NAME COMMAND...: a check that passes or fails as a whole; a failure counts as one failed test.
step() {
    local name=$1
    shift
    heading "$name: $*"
    if ! "$@" </dev/null; then
        fail "$name"
    fi
}

# tests NAME COMMAND...: a cargo test, of which the counts of all test programs are added.
tests() {
    local name=$1 output status=0 passed failed
    shift
    heading "$name: $*"
    output=$(mktemp)
    "$@" </dev/null 2>&1 | tee "$output" || status=$?
    read -r passed failed < <(awk '
        /^test result: / { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^failed/) failed += $(i - 1) } }
        END { print passed + 0, failed + 0 }' "$output")
    rm -f "$output"
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    # What does not compile, or crashes, reports no failed test.
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        fail "$name"
    elif [ "$failed" -ne 0 ]; then
        FAILED_STEPS+=("$name")
    fi
}

fail() {
    FAILED=$((FAILED + 1))
    FAILED_STEPS+=("$1")
}

# The last words: which steps failed, then the counts alone on a line.
summary() {
    heading "done"
    if [ "${#FAILED_STEPS[@]}" -ne 0 ]; then
        echo "failed steps: ${FAILED_STEPS[*]}"
    fi
    echo "$PASSED passed, $FAILED failed"
}

exit_status() {
    [ "$FAILED" -eq 0 ] && echo 0 || echo 1
}
