#!/usr/bin/env bash
# Sets up what the tests need and runs them; arguments go to pytest: tests/run.sh tests/nnet -k lstm
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source ./path.sh
install requirements.txt requirements-test.txt requirements-cluster.txt
ruff check .
ruff format --check .
exec python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
