# shellcheck shell=bash
# Sourced by every script: makes .venv from requirements.txt on first use, and enters it.

project=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

complain() { echo "error: $*" >&2; return 1; }

# installed FILE...: whether .venv holds what the files list; a copy of each is put beside it when that is done
installed() {
  local file
  "$project/.venv/bin/python" -c 'import pip' 2>/dev/null || return 1 # not so after an upgrade of python3 either
  for file in "$@"; do cmp -s "$project/$file" "$project/.venv/.installed/$file" || return 1; done
}

# check_python: whether python3 can make .venv
check_python() {
  command -v python3 >/dev/null || complain "python3 is missing; install it with: apt-get install python3-venv" || return
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    complain "Python 3.10 or newer is needed; python3 is $(python3 --version)" || return
  python3 -c 'import venv, ensurepip' 2>/dev/null ||
    complain "Python's venv module is missing; install it with: apt-get install python3-venv"
}

# install FILE...: the requirements files' packages into .venv, unless they are there; one process at a time
install() {
  installed "$@" && return
  check_python || return
  (
    flock --nonblock 9 || { echo "Waiting for another installation" >&2 && flock 9; }
    installed "$@" && exit
    echo "Installing $* into .venv (once, a few minutes)" >&2
    cd "$project" || exit
    .venv/bin/python -c 'import pip' 2>/dev/null && [[ -d .venv/.installed ]] || python3 -m venv --clear .venv || exit
    mkdir -p .venv/.installed && rm -f "${@/#/.venv/.installed/}" || exit
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "${@/#/--requirement=}" >&2 ||
      complain "the packages of $* could not be installed, see above; the same command tries again" || exit
    cp "$@" .venv/.installed/
  ) 9<"${BASH_SOURCE[0]}"
}

install requirements.txt || return
export PATH="$project/.venv/bin:$PATH"
# what the user has there would come before the pinned packages; nor are modules sought in the current directory
export PYTHONPATH="$project" PYTHONSAFEPATH=1 PYTHONUTF8=1
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # every process sets its own thread count; this is for what runs before it does
