#!/usr/bin/env bash
# Measures the terminal and writes docs/benchmarks.md; --quick takes under five minutes.
set -eu
cd "$(dirname "$0")/../.."
exec .venv/bin/python -m tests.bench.all "$@"
