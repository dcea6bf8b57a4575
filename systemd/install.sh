#!/usr/bin/env bash
# Installs AutoTrader as services that start at power-on, and the page on this machine's screen.
#   sudo systemd/install.sh              install; once more after each change: an update, keys in .env
#   sudo systemd/install.sh --uninstall  take all of that away again; data and settings stay
#   systemd/install.sh --render DIR      only write every file into DIR as it would be installed
#   --user NAME                          run as NAME instead of the folder's owner
#   --no-kiosk                           leave this machine's desktop alone
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
project=$(dirname "$here")
python=$project/.venv/bin/python
state=/var/lib/autotrader # what was found before, for --uninstall
time_wait=systemd-time-wait-sync.service

fail() {
  echo "$*" >&2
  exit 1
}

mode=install kiosk=yes destination="" user=$(stat -c %U "$project")
while [ $# -gt 0 ]; do
  case "$1" in
    --uninstall) mode=uninstall ;;
    --render) mode=render destination=${2:?a folder is missing} && shift ;;
    --user) user=${2:?a name is missing} && shift ;;
    --no-kiosk) kiosk=no ;;
    *) fail "Unknown option $1: there are --uninstall, --render DIR, --user NAME and --no-kiosk." ;;
  esac
  shift
done
[ "$user" != root ] ||
  fail "AutoTrader does not run as root: give its folder to an ordinary user (chown -R NAME $project)."
case "$project" in
  *[!A-Za-z0-9/._+-]*) fail "A unit's paths take no blanks or special characters: move $project." ;;
esac

as_user() {
  runuser -u "$user" -- env HOME="$(getent passwd "$user" | cut -d: -f6)" "$@"
}

in_session() { # in the user's own service manager, where he is logged in
  local runtime
  runtime=/run/user/$(id -u "$user")
  [ ! -S "$runtime/bus" ] || as_user env XDG_RUNTIME_DIR="$runtime" systemctl --user "$@"
}

# Every file below etc/ is installed at the same place below /etc
files() {
  (cd "$here" && find etc -type f | sort)
}

# What .env says: "write FOLDER", "read FOLDER" and "page ADDRESS". $@ is how to become the user
settings() {
  (cd "$project" && "$@" "$python" -c '
import sys
from orchestra.base import settings
from orchestra.base.errors import SettingsError
try:
    chosen = settings.current()
except SettingsError as error:
    sys.exit(str(error))
for folder in chosen.folders_written:
    print("write", folder)
for folder in (settings.ROOT, sys.base_prefix, *chosen.folders_read):
    print("read", folder)
print("page", chosen.page_url)')
}

# Write every file below $1, filled in from the settings ($2)
render() {
  local read="" write="" kind value file
  while read -r kind value; do
    case "$kind" in
      read) read+=" -$value" ;;
      write) write+=" -$value" ;;
    esac
  done <<<"$2"
  files | while read -r file; do
    mkdir -p "$1/$(dirname "$file")"
    sed -e "s|@DIR@|$project|g; s|@PYTHON@|$python|g; s|@USER@|$user|g" \
      -e "s|@READ@|${read# }|g; s|@WRITE@|${write# }|g" "$here/$file" >"$1/$file"
    chmod 644 "$1/$file"
  done
}

answers() {
  "$python" -c '
import sys
import urllib.request
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=5)
except OSError:
    sys.exit(1)' "$1/healthz"
}

install_desktop() { # $1: the page's address
  if [ ! -d /etc/xdg/labwc ]; then
    echo "No labwc desktop here, so the page is not opened on a screen of this machine: that takes Raspberry Pi OS"
    echo "with desktop, not its Lite image. The services need none. To see the page from another machine:"
    echo "  ssh -L ${1##*:}:127.0.0.1:${1##*:} $user@$(uname -n), then http://127.0.0.1:${1##*:}/ there"
    return
  fi
  if command -v raspi-config >/dev/null; then
    [ -e "$state/blanking" ] || raspi-config nonint get_blanking >"$state/blanking"
    SUDO_USER=$user raspi-config nonint do_blanking 1 >/dev/null # 1 is off
    [ "$(raspi-config nonint get_autologin)" = 0 ] || # 0 is on
      echo "The desktop asks for a password at power-on; with this it does not: sudo raspi-config nonint do_boot_behaviour B4"
  fi
  (cd "$project" && as_user "$python" -m orchestra desktop install)
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    echo "Chromium is missing: sudo apt install chromium fonts-dejavu-core"
}

install_all() {
  local told page
  if ! systemctl is-active --quiet autotrader.target; then
    page=$(settings as_user 2>/dev/null | sed -n 's/^page //p') || true # before the first set-up there is none
    [ -z "$page" ] || ! answers "$page" ||
      fail "AutoTrader runs already, but not as a service: stop ./start_pi.sh with Ctrl-C first."
  fi
  # A new version may change the databases
  systemctl stop autotrader.target 'autotrader-*.service' 2>/dev/null || true
  as_user "$project/start_pi.sh" --setup-only >/dev/null
  told=$(settings as_user)
  sed -n "s|^write \($project/.*\)|\1|p" <<<"$told" | while read -r folder; do as_user mkdir -p "$folder"; done
  mkdir -p "$state"
  render / "$told"
  if systemctl cat "$time_wait" >/dev/null 2>&1 && ! systemctl is-enabled --quiet "$time_wait"; then
    touch "$state/time-wait"
    systemctl enable --quiet "$time_wait"
  fi
  [ "$kiosk" = no ] || install_desktop "$(sed -n 's/^page //p' <<<"$told")"
  systemctl daemon-reload
  in_session daemon-reload
  systemctl restart systemd-journald
  systemctl enable --quiet autotrader.target autotrader-backup.timer
  systemctl start autotrader-backup.timer
  systemctl start autotrader.target
  in_session try-restart autotrader-kiosk.service
  report "$(sed -n 's/^page //p' <<<"$told")"
}

report() {
  local seconds=0
  until answers "$1"; do
    seconds=$((seconds + 1))
    [ "$seconds" -lt 120 ] || fail "The page does not answer. What the services say: sudo systemctl status 'autotrader-*'"
    sleep 1
  done
  # Without the kernel's memory controller the units' memory limits are not kept
  if [ -e /boot/firmware/cmdline.txt ] && ! grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
    echo "The kernel keeps no memory limits; with this, and a reboot, it does:"
    echo "  sudo sed -i '1s/\$/ cgroup_enable=memory/' /boot/firmware/cmdline.txt"
  fi
  echo "AutoTrader is installed and running: $1/"
  echo "Once a reboot has shown that it comes up by itself, that is all."
}

uninstall() {
  in_session stop autotrader-kiosk.service 2>/dev/null || true
  systemctl disable --quiet --now autotrader.target autotrader-backup.timer 2>/dev/null || true
  [ ! -e "$state/time-wait" ] || systemctl disable --quiet "$time_wait"
  [ ! -x "$python" ] || (cd "$project" && as_user "$python" -m orchestra desktop remove)
  if [ -e "$state/blanking" ]; then
    SUDO_USER=$user raspi-config nonint do_blanking "$(cat "$state/blanking")" >/dev/null
  fi
  files | while read -r file; do
    rm -f "/$file"
    case "$file" in */*.d/*) rmdir --ignore-fail-on-non-empty "/$(dirname "$file")" ;; esac
  done
  rm -rf "$state" /var/lib/systemd/timers/stamp-autotrader-backup.timer
  systemctl daemon-reload
  in_session daemon-reload
  systemctl reset-failed 'autotrader-*' 2>/dev/null || true
  systemctl restart systemd-journald
  echo "AutoTrader is no longer a service; ./start_pi.sh still starts it. Data and settings are where they were."
}

if [ "$mode" = render ]; then
  told=$(settings env)
  render "$destination" "$told"
  exit
fi
[ "$(id -u)" -eq 0 ] || fail "This changes the system's services: sudo $0"
[ -d /run/systemd/system ] || fail "systemd does not run here: start AutoTrader with ./start_pi.sh."
if [ "$mode" = install ]; then install_all; else uninstall; fi
