#!/usr/bin/env bash
# Installs AutoTrader as services that start at power-on, and the page on this machine's screen.
#   sudo systemd/install.sh              install; once more after each change: an update, keys in .env
#   sudo systemd/install.sh --uninstall  take all of that away again; data and settings stay
#   systemd/install.sh --render DIR      only write every file into DIR as it would be installed
#   --user NAME                          run as NAME instead of the folder's owner
#   --no-kiosk                           no page on this machine's own screen; from then on, until --kiosk
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
project=$(dirname "$here")
python=$project/.venv/bin/python
state=/var/lib/autotrader # what was found before, for --uninstall; what was chosen and installed, for an update
time_wait=systemd-time-wait-sync.service
console=autotrader@tty1.service # the page on the screen of a machine without a desktop

fail() {
  echo "$*" >&2
  exit 1
}

mode=install kiosk="" destination="" user=""
while [ $# -gt 0 ]; do
  case "$1" in
    --uninstall) mode=uninstall ;;
    --render) mode=render destination=${2:?a folder is missing} && shift ;;
    --user) user=${2:?a name is missing} && shift ;;
    --no-kiosk) kiosk=no ;;
    --kiosk) kiosk=yes ;;
    *) fail "Unknown option $1: there are --uninstall, --render DIR, --user NAME, --no-kiosk and --kiosk." ;;
  esac
  shift
done
if [ -z "$user" ]; then
  [ "$mode" = render ] || user=$(systemctl show -P User autotrader-api.service 2>/dev/null) || true
  user=${user:-$(stat -c %U "$project")}
fi
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
  runtime=/run/user/$(id -u "$user" 2>/dev/null) || return 0
  [ ! -S "$runtime/systemd/private" ] || as_user env XDG_RUNTIME_DIR="$runtime" systemctl --user "$@"
}

# Every file below etc/ is installed at the same place below /etc
files() {
  (cd "$here" && find etc -type f | LC_ALL=C sort)
}

# Also those of the version that is installed
installed_files() {
  files | cat - "$state/files" 2>/dev/null | LC_ALL=C sort -u
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

# The page on this machine's own screen: opened by the desktop, or without one on the first console
install_screen() { # $1: the page's address
  local missing=() there="http://127.0.0.1:${1##*:}/" elsewhere
  elsewhere="From another machine: ssh -L ${1##*:}:127.0.0.1:${1##*:} $user@$(uname -n), then $there there."
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing+=(chromium fonts-dejavu-core)
  case "$kiosk" in
    no) touch "$state/no-kiosk" ;;
    yes) rm -f "$state/no-kiosk" ;;
  esac
  if [ -d /etc/xdg/labwc ] && [ ! -e "$state/no-kiosk" ]; then
    remove_console
    install_desktop
    [ "${#missing[@]}" -eq 0 ] || echo "Chromium is missing: sudo apt install ${missing[*]}"
    return
  fi
  remove_desktop
  if [ -e "$state/no-kiosk" ]; then
    remove_console
  elif [ -e /etc/systemd/system/display-manager.service ]; then
    remove_console
    echo "Only Raspberry Pi OS's desktop (labwc) opens the page by itself. Here: any browser, $there"
    echo "$elsewhere"
  else
    command -v cage >/dev/null || missing=(cage "${missing[@]}")
    command -v Xwayland >/dev/null || missing+=(xwayland) # cage does not start without
    if [ "${#missing[@]}" -eq 0 ]; then
      install_console
    else
      echo "No desktop here. For the page on this machine's own screen all the same:"
      echo "  sudo apt install ${missing[*]}, then sudo $0 once more"
      echo "$elsewhere"
    fi
  fi
}

install_desktop() {
  if command -v raspi-config >/dev/null; then
    [ -e "$state/blanking" ] || raspi-config nonint get_blanking >"$state/blanking"
    SUDO_USER=$user raspi-config nonint do_blanking 1 >/dev/null # 1 is off
    [ "$(raspi-config nonint get_autologin)" = 0 ] || # 0 is on
      echo "The desktop asks for a password at power-on; with this it does not: sudo raspi-config nonint do_boot_behaviour B4"
  fi
  (cd "$project" && as_user "$python" -m orchestra desktop install)
}

remove_desktop() {
  in_session stop autotrader-kiosk.service 2>/dev/null || true
  [ ! -x "$python" ] || (cd "$project" && as_user "$python" -m orchestra desktop remove) ||
    echo "$user's files in ~/.config/labwc could not be put back." >&2
  if [ -e "$state/blanking" ]; then
    SUDO_USER=$user raspi-config nonint do_blanking "$(cat "$state/blanking")" >/dev/null
    rm "$state/blanking"
  fi
}

# It is left to the next power-on to start it: whoever installs it may be logged in on that console
install_console() {
  systemctl enable --quiet "$console"
  systemctl is-active --quiet "$console" ||
    echo "From the next reboot on the page is on this machine's screen, in the place of the login on tty1."
}

remove_console() {
  systemctl disable --quiet "$console" 2>/dev/null || true
  if systemctl is-active --quiet "$console"; then
    systemctl stop "$console"
    systemctl start --no-block getty@tty1.service
  fi
}

install_all() {
  local told page
  id "$user" >/dev/null 2>&1 || fail "There is no user $user on this machine: --user NAME takes another."
  as_user test -w "$project" ||
    fail "$user cannot write to $project: chown -R $user $project, or move it to where $user may."
  if ! systemctl is-active --quiet autotrader.target; then
    page=$(settings as_user 2>/dev/null | sed -n 's/^page //p') || true # before the first set-up there is none
    [ -z "$page" ] || ! answers "$page" ||
      fail "AutoTrader runs already, but not as a service: stop ./start_pi.sh with Ctrl-C first."
  else
    # What keeps this from being installed, no network say, must not leave the wall dark
    trap 'systemctl start --no-block autotrader.target' EXIT
  fi
  # A new version may change the databases
  systemctl stop autotrader.target 'autotrader-*.service' 2>/dev/null || true
  as_user "$project/start_pi.sh" --setup-only | sed -u '/^AutoTrader is set up/d'
  told=$(settings as_user)
  sed -n "s|^write \($project/.*\)|\1|p" <<<"$told" | while read -r folder; do as_user mkdir -p "$folder"; done
  mkdir -p "$state"
  remove_files < <(LC_ALL=C comm -13 <(files) <(installed_files))
  render / "$told"
  files >"$state/files"
  if systemctl cat "$time_wait" >/dev/null 2>&1 && ! systemctl is-enabled --quiet "$time_wait"; then
    touch "$state/time-wait"
    systemctl enable --quiet "$time_wait"
  fi
  systemctl daemon-reload
  in_session daemon-reload
  install_screen "$(sed -n 's/^page //p' <<<"$told")"
  systemctl restart systemd-journald
  systemctl enable --quiet autotrader.target autotrader-backup.timer
  sync -f /etc/systemd # also for who reboots by pulling the plug
  systemctl start autotrader-backup.timer
  trap - EXIT
  systemctl start autotrader.target
  systemctl try-restart "$console"
  in_session try-restart autotrader-kiosk.service
  report "$(sed -n 's/^page //p' <<<"$told")"
}

remove_files() { # names them, one a line
  local file
  while read -r file; do
    rm -f "/$file"
    case "$file" in */*.d/*) rmdir "/$(dirname "$file")" 2>/dev/null || true ;; esac # others' files stay
  done
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
  remove_desktop
  remove_console
  systemctl disable --quiet --now autotrader.target autotrader-backup.timer 2>/dev/null || true
  [ ! -e "$state/time-wait" ] || systemctl disable --quiet "$time_wait"
  remove_files < <(installed_files)
  rm -rf "$state" /var/lib/systemd/timers/stamp-autotrader-backup.timer
  systemctl daemon-reload
  in_session daemon-reload
  systemctl reset-failed 'autotrader*' 2>/dev/null || true
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
