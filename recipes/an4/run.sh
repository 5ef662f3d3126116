#!/usr/bin/env bash
# CMU AN4, 16 kHz: --corpus DIR (its folder), --lm-name bigram (the default), unigram or corpus.
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../run.sh" --recipe an4 "$@"
