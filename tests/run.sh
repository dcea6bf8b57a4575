#!/usr/bin/env bash
# Sets up all that the tests need, then runs lint, types and tests. --long adds the long forms;
# any other argument goes to pytest.
set -eu
cd "$(dirname "$0")/.."

if [ ! -x .venv/bin/python ]; then
  "${PYTHON:-python3}" -m venv .venv
fi
wanted=$(cat requirements.txt requirements-dev.txt requirements-research.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.tests-installed 2>/dev/null || true)" != "$wanted" ]; then
  .venv/bin/pip install --quiet --require-hashes -r requirements.txt
  .venv/bin/pip install --quiet --require-hashes -r requirements-dev.txt
  .venv/bin/pip install --quiet --require-hashes -r requirements-research.txt
  echo "$wanted" > .venv/.tests-installed
fi

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then as_root="sudo -n"; fi
  if [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; then
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core xvfb
  elif [ "${CI:-}" = true ]; then
    echo "The browser tests need Chromium, and there are no rights to install it." >&2
    exit 1
  else
    echo "NO CHROMIUM AND NO RIGHTS TO INSTALL IT: THE BROWSER TESTS WILL BE SKIPPED" >&2
  fi
fi

marks=(-m "not long")
rest=()
for argument in "$@"; do
  if [ "$argument" = --long ]; then marks=(); else rest+=("$argument"); fi
done

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/pytest "${marks[@]}" "${rest[@]}"
