#!/usr/bin/env bash
# Sets up what the tests need and runs all checks; arguments go to pytest: tests/run.sh tests/nnet -k lstm
set -euo pipefail
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."
source ./path.sh
requirements=(requirements.txt requirements-test.txt)
(($#)) || requirements+=(requirements-cluster.txt) # Ray; where it is missing, its tests are skipped and say so
install "${requirements[@]}"
ruff check .
ruff format --check .
python -m mypy
exec python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
