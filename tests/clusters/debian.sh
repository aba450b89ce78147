#!/bin/bash
# A Debian in a folder of its own for the tests, by debootstrap.
#
#   debian.sh NAME SUITE PACKAGE...   make $SLURM_TESTS_CACHE/NAME/root with these packages,
#                                     unless it is there with the very same; print its path
#
# Environment: see cluster.sh, which reads its functions from here.

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

cache() {
  local folder=${SLURM_TESTS_CACHE:-/var/cache/waldur-slurm-tasks-tests}
  mkdir -p "$folder"
  readlink -f "$folder"
}

enter() {  # ROOT: the command line that runs something inside, with a clean environment
  IN=(chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
    DEBIAN_FRONTEND=noninteractive "${INSIDE[@]}")
}

in_root() { "${IN[@]}" "$@"; }

lock() {  # FILE: held until the script ends; daemons are started without it
  exec 9>>"$1"
  flock 9
}

unmount_all() {  # ROOT
  local point
  for point in proc sys; do
    if mountpoint -q "$1/$point"; then umount "$1/$point"; fi
  done
  if grep -q " $1/" /proc/self/mounts; then fail "something is still mounted under $1"; fi
}

mount_all() {  # ROOT
  mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"
  mountpoint -q "$1/sys" || mount -t sysfs sysfs "$1/sys"
}

remove_root() {  # ROOT
  [ -d "$1" ] || return 0
  unmount_all "$1"
  rm -rf --one-file-system "$1"
}

ensure_debootstrap() {
  command -v debootstrap >/dev/null && return
  command -v apt-get >/dev/null || fail "debootstrap is missing and so is apt-get to install it"
  (
    flock 8
    command -v debootstrap >/dev/null && exit
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q -y install debootstrap debian-archive-keyring
  ) 8>>"$(cache)/apt.lock" >>"$INSTALL_LOG" 2>&1 || fail "apt-get failed: $INSTALL_LOG"
}

mirror() {  # the host's own mirror if it is a Debian; nothing: debootstrap's default
  if [ -n "${DEBIAN_MIRROR:-}" ]; then
    echo "$DEBIAN_MIRROR"
  elif grep -qsx 'ID=debian' /etc/os-release; then
    {
      sed -n 's/^URIs:[[:space:]]*//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true
      sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' \
        /etc/apt/sources.list 2>/dev/null || true
    } | awk 'NR == 1 {print $1}'
  fi
}

unpack() {  # ROOT SUITE: the smallest Debian
  local script=/usr/share/debootstrap/scripts/$2
  [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid   # older than the suite
  debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    "$2" "$1" "$(mirror)" "$script"
  cp /etc/hosts /etc/resolv.conf "$1/etc/"
}

install_packages() {  # ROOT PACKAGE...
  local root=$1
  shift
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"   # no daemon starts by itself
  chmod 755 "$root/usr/sbin/policy-rc.d"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  {
    printf '%s\n' 'Acquire::Check-Valid-Until "false";' 'Acquire::Languages "none";' \
      'APT::Install-Recommends "false";'
    apt-config dump 2>/dev/null | grep -iE '^Acquire::[a-z]+::Proxy' || true
  } >"$root/etc/apt/apt.conf.d/99tests"
  in_root apt-get -q update
  in_root apt-get -q -y install "$@"
  in_root apt-get clean
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0

make_root() {  # ROOT SUITE PACKAGE...
  unpack "$1" "$2"
  mount_all "$1"
  enter "$1"
  install_packages "$1" "${@:3}"
  unmount_all "$1"
  echo "${*:2}" >"$1/.recipe"
}

main() {
  [ $# -ge 2 ] || { sed -n '4,5s/^#  *//p' "$0" >&2; exit 2; }
  [ "$(id -u)" = 0 ] || fail "needs root"
  local folder partial
  folder=$(cache)/$1
  partial=$folder/root.partial
  INSTALL_LOG=$folder/install.log
  mkdir -p "$folder"
  lock "$folder/boot.lock"
  if [ "$(cat "$folder/root/.recipe" 2>/dev/null)" != "${*:2}" ]; then
    ensure_debootstrap
    remove_root "$partial"
    remove_root "$folder/root"
    # a new shell, because `set -e` is off inside `if` and `||`
    (set -euo pipefail; make_root "$partial" "${@:2}") >"$INSTALL_LOG" 2>&1 &
    wait $! || { tail -n 8 "$INSTALL_LOG" >&2; unmount_all "$partial"; fail "see $INSTALL_LOG"; }
    mv "$partial" "$folder/root"   # a finished root appears with one rename
  fi
  echo "$folder/root"
}

INSIDE=()
set -euo pipefail
main "$@"
