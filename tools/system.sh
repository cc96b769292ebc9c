#!/bin/sh
# Make sure that the Debian/Ubuntu packages behind `make run` (or, with "test", behind `make test`) are there.
# Installs them when it may (root, or sudo without a password); else says what to install.
set -eu
missing=""
need() { missing="$missing $1"; }
lib() { ldconfig -p 2>/dev/null | grep -q "$1" || need "$2"; }

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Sensorium needs Python 3.11 or newer; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1)." >&2
  echo "Install one and call: make PYTHON=python3.12 ${1:-run}" >&2
  exit 1
}
"${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null || need python3-venv
if [ "$(uname -s)" = Linux ]; then
  lib libGL.so.1 libgl1
  lib libglib-2.0.so.0 libglib2.0-0
  if [ "${1:-run}" = gpu ]; then
    command -v g++ >/dev/null || need g++
    "${PYTHON:-python3}" -c 'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
      need python3-dev
  fi
  if [ "${1:-run}" = test ]; then
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || need chromium
    command -v npm >/dev/null || need npm
  fi
fi
[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then as=""
elif command -v apt-get >/dev/null && command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as="sudo"
else
  echo "These system packages are missing:$missing" >&2
  echo "Install them, then try again. On Debian or Ubuntu: sudo apt-get install$missing" >&2
  exit 1
fi
echo "installing system packages:$missing"
$as apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as apt-get install -y -qq --no-install-recommends $missing >/dev/null
