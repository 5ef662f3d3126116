#!/usr/bin/env bash
# Your own Kaldi data directories: --train DIR --dev DIR --test DIR [--test DIR2 ...] [--lexicon FILE] [--lm FILE].
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../run.sh" --recipe custom "$@"
