#!/usr/bin/env bash
# Brings a bare machine to where the build can start: Debian packages, then a virtual environment with Torch, cmake and ninja.
#
#   tools/setup.sh LIST…      the lists are tools/packages-LIST.txt
#
# As root it installs what is missing; as anyone else it names the packages and the command, and exits with 3. The environment
# lies in $MESTRE_DEPS/venv (default ~/.cache/mestre/venv) and is shared by every checkout: a lock keeps two set-ups apart, and
# the stamp, written last, names the requirements it was made from, so an interrupted set-up is simply done again.
set -euo pipefail

tools=$(cd "$(dirname "$0")" && pwd)
deps=${MESTRE_DEPS:-$HOME/.cache/mestre}
say() { printf 'setup: %s\n' "$*" >&2; }

lock() {  # waits for another set-up; held until this script ends
  mkdir -p "$deps"
  exec 9>"$deps/setup.lock"
  flock -n 9 || { say "waiting for another set-up in $deps"; flock 9; }
}

# The wanted packages, one a line, alternatives as 'a|b'.
wanted() {
  local list
  for list in "$@"; do sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$tools/packages-$list.txt"; done
}

# The lines of wanted() of which nothing is installed. One dpkg-query for all, since this runs before every build.
missing() {
  local have line name
  have=" $(dpkg-query -W -f '${db:Status-Status}=${Package}\n' | sed -n 's/^installed=//p' | tr '\n' ' ')"
  while read -r line; do
    for name in ${line//|/ }; do [[ $have == *" $name "* ]] && continue 2; done
    printf '%s\n' "$line"
  done < <(wanted "$@")
}

# For each line the first name that this distribution knows; the first of all where it knows none. On one line.
choose() {
  local line name
  while read -r line; do
    for name in ${line//|/ } ${line%%|*}; do apt-cache show --no-all-versions "$name" >/dev/null 2>&1 && break; done
    printf '%s ' "$name"
  done
}

install_packages() {
  local lines
  lines=$(missing "$@")
  [ -n "$lines" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    say "these packages are missing; install them with"
    say "  sudo apt-get install --no-install-recommends -y $(choose <<<"$lines")"
    exit 3
  fi
  lock
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  # shellcheck disable=SC2046  # one word a package
  apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 $(choose <<<"$lines") >&2
}

# The stamp repeats the requirements it was made from.
environment_complete() { cmp -s "$tools/requirements.txt" "$deps/venv.stamp" && [ -x "$deps/venv/bin/ninja" ]; }

make_environment() {  # $1: nothing to mend what is there, --clear to begin anew
  local bin=$deps/venv/bin
  /usr/bin/python3 -m venv $1 "$deps/venv" &&
    "$bin/python" -m pip install -q --no-compile --disable-pip-version-check -r "$tools/requirements.txt" >&2 &&
    "$bin/cmake" --version >/dev/null && "$bin/ninja" --version >/dev/null && "$bin/python" -W ignore -c 'import torch'
}

install_environment() {
  environment_complete && return 0
  lock
  environment_complete && return 0
  say "making the virtual environment in $deps/venv (Torch and what it needs: about 5 GB on disk)"
  rm -f "$deps/venv.stamp"
  make_environment "" || { say "beginning it anew"; make_environment --clear; } || { say "no virtual environment"; exit 3; }
  cp "$tools/requirements.txt" "$deps/venv.stamp.new"
  mv "$deps/venv.stamp.new" "$deps/venv.stamp"
}

install_packages "$@"
install_environment
