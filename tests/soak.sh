#!/usr/bin/env bash
# Runs the real terminal through DAYS calendar days with everything going wrong: tests/soak.sh 30.
# Writes docs/soak.md. --help lists the options; the full disk needs root, and says so without.
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -m tests.soak "$@"
