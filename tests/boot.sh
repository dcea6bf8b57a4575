#!/usr/bin/env bash
# A real boot of the installed terminal, in a container with a systemd of its own: install, trade, kill, hang,
# power cut, reboot, memory that runs out, a clock that nothing sets, keys, uninstall. Prints a table of what was
# seen. By hand: it needs root, the network, chromium and twenty minutes.
#   sudo tests/boot.sh [FOLDER]   FOLDER is kept, and makes a second run faster; default: a temporary one
#   SUITE=trixie                  another Debian than bookworm
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" -eq 0 ] || { echo "This makes and boots a system: sudo $0" >&2; exit 1; }
for command in debootstrap systemd-nspawn nsenter; do
  command -v "$command" >/dev/null ||
    { echo "$command is missing: apt-get install debootstrap systemd-container util-linux" >&2; exit 1; }
done
suite=${SUITE:-bookworm}
if [ $# -gt 0 ]; then
  mkdir -p "$1"
  folder=$(readlink -f "$1")
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
base=$folder/$suite root=$folder/root wheels=$folder/wheels-$suite

if [ ! -e "$base/complete" ]; then
  rm -rf "$base"
  debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,systemd-timesyncd,dbus,libpam-systemd,python3,python3-venv,curl,procps "$suite" "$base" >"$folder/debootstrap.log"
  touch "$base/complete"
fi

# The packages as that system's Python wants them, fetched with this machine's network and certificates
rm -rf "$base/fetch"
mkdir -p "$base/fetch" "$wheels"
cp requirements.txt "$base/fetch/"
cp -L /etc/resolv.conf "$base/etc/resolv.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$base/fetch/"
cp -r "$wheels" "$base/fetch/wheels"
certificates=/fetch/ca-certificates.crt
chroot "$base" env -u PIP_FIND_LINKS PIP_CERT=$certificates SSL_CERT_FILE=$certificates REQUESTS_CA_BUNDLE=$certificates \
  sh -euc 'cd /fetch
    python3 -m venv venv
    venv/bin/pip download --quiet --only-binary :all: --require-hashes -r requirements.txt -d wheels'
cp "$base"/fetch/wheels/* "$wheels/"
rm -rf "$base/fetch"

rm -rf "$root"
cp -a "$base" "$root"
cp -r "$wheels" "$root/wheels"
printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$root/etc/pip.conf"
echo wall >"$root/etc/hostname"
chroot "$root" useradd --create-home --shell /bin/bash pi
git clone --quiet . "$root/home/pi/autotrader"
chroot "$root" chown -R pi:pi /home/pi
# The one file of Raspberry Pi OS's desktop that the installer reads
mkdir -p "$root/etc/xdg/labwc"
cat >"$root/etc/xdg/labwc/rc.xml" <<'XML'
<?xml version="1.0"?>
<openbox_config xmlns="http://openbox.org/3.4/rc">
  <touch deviceName="11-0038 generic ft5x06 (79)" mapToOutput="DSI-2" mouseEmulation="yes" />
</openbox_config>
XML
.venv/bin/python -m tests.boot "$root"
