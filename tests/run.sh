#!/usr/bin/env bash
# Sets up all that the tests need, then runs lint, types and tests. --long adds the long forms, one after
# the other, as they measure the machine; any other argument goes to pytest.
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

wanted_packages=()
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
  wanted_packages+=(chromium fonts-dejavu-core)
fi
command -v Xvfb >/dev/null || wanted_packages+=(xvfb)               # the kiosk's screen
command -v systemd-analyze >/dev/null || wanted_packages+=(systemd) # checks the units
if [ "${#wanted_packages[@]}" -gt 0 ]; then
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then as_root="sudo -n"; fi
  if [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; then
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends "${wanted_packages[@]}"
  elif [ "${CI:-}" = true ]; then
    echo "The tests need ${wanted_packages[*]}, and there are no rights to install that." >&2
    exit 1
  else
    echo "NO RIGHTS TO INSTALL ${wanted_packages[*]}: THE TESTS THAT NEED THEM WILL BE SKIPPED" >&2
  fi
fi

marks=(-m "not long" -n 2 --dist loadfile)
rest=()
for argument in "$@"; do
  if [ "$argument" = --long ]; then marks=(); else rest+=("$argument"); fi
done

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
.venv/bin/pytest "${marks[@]}" "${rest[@]}"
