#!/usr/bin/env bash
# Score recorded completions, or take a finished run, and hold it against a baseline. Writes run/, gate.xml (JUnit),
# gate.md, comment.md and report.html into GATE_OUT. Annotations and the step summary come from harness gate itself.
# Exit code: that of harness gate. 0 passed, 1 regression, 2 a mistake, 3 not judged, 4 not comparable or too few to tell.
set -euo pipefail
out=${GATE_OUT:-harness-gate}
code=0

finish() {
    if [ -n "${GITHUB_OUTPUT:-}" ]; then echo "exit-code=$1" >> "$GITHUB_OUTPUT"; fi
    exit "$1"
}

# lines OPTION TEXT: OPTION before each line of TEXT that is not empty, into `rules`
rules=()
lines() {
    local line
    while IFS= read -r line; do
        if [ -n "${line// /}" ]; then rules+=("$1" "$line"); fi
    done <<< "$2"
}
lines --margin "${GATE_MARGINS:-}"
lines --floor "${GATE_FLOORS:-}"

# With the options in `more`. After faults there is a run, and the gate says what is wrong with it.
score() {
    code=0
    harness score "$GATE_TASK" --completions "$GATE_COMPLETIONS" --out "$run" "${options[@]}" "${more[@]}" || code=$?
    if [ "$code" != 0 ] && [ "$code" != 3 ]; then finish "$code"; fi
}

gate() {
    code=0
    harness gate "$run" --baseline "$GATE_BASELINE" --junit "$out/gate.xml" --summary "$out/gate.md" \
        --comment "$out/comment.md" "${rules[@]}" || code=$?
}

mkdir -p "$out"
run=${GATE_RUN:-}
if [ -z "$run" ]; then
    if [ -z "${GATE_TASK:-}" ] || [ -z "${GATE_COMPLETIONS:-}" ]; then
        echo "error: give task and completions, or run" >&2
        finish 2
    fi
    run=$out/run
    options=()
    if [ -n "${GATE_DATA:-}" ]; then options+=(--data "$GATE_DATA"); fi
    read -r -d '' -a more <<< "${GATE_SCORE_OPTIONS:-}" || true  # read ends with 1 at the end of its input
    score
fi

if [ -n "${GATE_BEFORE:-}" ]; then rules+=(--before "$GATE_BEFORE"); fi
gate
# --until-clear stops by the baseline's rules; by those given here so few problems may be too few: on without it.
if [ "$code" = 4 ] && [ -z "${GATE_RUN:-}" ] && grep -qs 'partial: stopped by --until-clear' "$run/summary.json"; then
    rest=()
    skip=
    for word in "${more[@]}"; do
        if [ -n "$skip" ]; then skip=; continue; fi
        case $word in
            --until-clear) skip=1 ;;
            --until-clear=*) ;;
            *) rest+=("$word") ;;
        esac
    done
    more=("${rest[@]}")
    score
    gate
fi
if [ "$code" = 2 ]; then finish 2; fi
harness report "$run" --out "$out/report.html" || echo "::warning::no report page: the run cannot be shown"
finish "$code"
