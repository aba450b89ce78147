#!/bin/sh
# Installs Debian's Chromium and its driver, for the tests that open a page. Needs root.
set -eu
command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit
exec 8>>"${TMPDIR:-/tmp}/install-chromium.lock"
flock 8 # apt runs for one at a time
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends chromium chromium-driver
