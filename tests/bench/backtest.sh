#!/usr/bin/env bash
# Measures backtests beside four rivals, each installed from its package into an environment of its own.
# Usage: tests/bench/backtest.sh [--quick]. The environments are kept in $AUTOTRADER_RIVALS (1.5 GB).
set -eu
cd "$(dirname "$0")/../.."
export AUTOTRADER_RIVALS="${AUTOTRADER_RIVALS:-${XDG_CACHE_HOME:-$HOME/.cache}/autotrader-rivals}"
mkdir -p "$AUTOTRADER_RIVALS"
while read -r package version; do
  place="$AUTOTRADER_RIVALS/$package"
  if [ "$(cat "$place/installed" 2>/dev/null || true)" != "$version" ]; then
    echo "installing $package $version" >&2
    rm -rf "$place"
    "${PYTHON:-python3}" -m venv "$place"
    "$place/bin/pip" install --quiet "$package==$version"
    echo "$version" > "$place/installed"
  fi
done < tests/bench/rivals/versions
exec .venv/bin/python -m tests.bench.backtest "$@"
