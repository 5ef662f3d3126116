# shellcheck shell=bash
# Sourced by every script: makes .venv from requirements.txt on first use, and enters it.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

need() { # need PROGRAM COMMAND_THAT_INSTALLS_IT
  command -v "$1" >/dev/null || { echo "error: '$1' is missing; install it with: $2" >&2; exit 1; }
}

# install REQUIREMENTS...: the files' packages into .venv, once for each content of theirs
install() {
  local stamp venv=$project/.venv
  stamp=$venv/.installed-$(cd "$project" && cat "$@" | sha256sum | cut -c1-16)
  [[ -e $stamp ]] && return
  need python3 "apt-get install python3 python3-venv"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "error: Python 3.10 or newer is needed, python3 is $(python3 --version)" >&2; exit 1; }
  python3 -c 'import ensurepip' 2>/dev/null ||
    { echo "error: Python's venv module is missing; install it with: apt-get install python3-venv" >&2; exit 1; }
  echo "Installing $* into .venv (once, a few minutes)" >&2
  [[ -x $venv/bin/pip ]] || python3 -m venv --clear "$venv"
  local options=()
  for file in "$@"; do options+=(-r "$project/$file"); done
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${options[@]}" >&2
  touch "$stamp"
}

install requirements.txt
export PATH="$project/.venv/bin:$PATH"
export PYTHONPATH="$project${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # every process sets its own thread count; this is for what runs before it does
