#!/usr/bin/env bash
# Your own Kaldi data directories: --train DIR --dev DIR --test DIR [--test DIR2 ...] [--lexicon FILE] [--lm FILE].
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
exec "$root/run.sh" --recipe custom "$@"
