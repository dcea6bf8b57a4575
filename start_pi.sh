#!/usr/bin/env bash
# Sets AutoTrader up where it is not yet, and runs it until Ctrl-C.
#   --no-browser   do not open the page
#   --setup-only   stop after setting up
set -eu
cd "$(dirname "$(readlink -f "$0")")"

fail() {
  echo "$*" >&2
  exit 1
}

case "$(uname -m)-$(getconf LONG_BIT)" in
  x86_64-64 | aarch64-64) ;;
  *) fail "AutoTrader needs a 64-bit system: install the 64-bit Raspberry Pi OS or Debian." ;;
esac

python=${PYTHON:-python3}
command -v "$python" >/dev/null ||
  fail "Python is missing: sudo apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
  fail "AutoTrader needs Python 3.11 to 3.13; this is $("$python" --version)."

# Not where another Python is in its place since, as after an upgrade of the system: that has no packages
works() {
  .venv/bin/python -c 'import pip' 2>/dev/null
}

# .installing is there while packages are installed, with the process that does it
was_cut_off() {
  [ -e .venv/.installing ] && [ ! -L .venv ] && [ ! -e "/proc/$(cat .venv/.installing)/status" ]
}

# .installed is written last: an interrupted installation is begun again, in a new environment, for after
# a power cut pip takes half a package for a whole one
wanted=$(sha256sum requirements.txt | cut -d' ' -f1)
if [ "$(cat .venv/.installed 2>/dev/null || true)" != "$wanted" ] || ! works; then
  if ! works || was_cut_off; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
      fail "Python's venv is missing: sudo apt install python3-venv"
    echo "Setting up Python in .venv ..."
    "$python" -m venv --clear .venv
  fi
  echo "Installing what AutoTrader needs (a few minutes on a Pi) ..."
  echo $$ >.venv/.installing
  if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
    -r requirements.txt; then
    rm -f .venv/.installing
    fail "The packages could not be installed: check the network and start again."
  fi
  sync -f .venv # else a power cut could leave .installed and not all of the packages
  echo "$wanted" >.venv/.installed
  rm -f .venv/.installing
fi

if [ ! -e .env ]; then
  (umask 077 && cp .env.example .env && chmod 600 .env)
  echo "Wrote .env: it holds every setting, and Alpaca's keys once you have some."
fi

umask 077 # ledger, logs and backups are their owner's alone, as they are under systemd
exec .venv/bin/python -m orchestra start "$@"
