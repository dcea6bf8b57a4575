#!/usr/bin/env bash
# Pins requirements*.in with hashes, for every machine and Python that the README names.
# Usage: tests/lock_requirements.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/pip" install --quiet uv
compile() {
  "$tool/bin/uv" pip compile --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --quiet "$@"
}
compile "$@" requirements.in --output-file requirements.txt
compile "$@" requirements-notify.in --output-file requirements-notify.txt
compile "$@" requirements-dev.in --output-file requirements-dev.txt
compile "$@" requirements-research.in --output-file requirements-research.txt
