#!/usr/bin/env bash
# Takes the README's pictures in real Chromium from the running simulated terminal.
set -eu
cd "$(dirname "$0")/.."
exec .venv/bin/python -m tests.screenshots
