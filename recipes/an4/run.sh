#!/usr/bin/env bash
# CMU AN4, 16 kHz: --corpus DIR (its folder), --lm-name bigram (the default), unigram or corpus.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
exec "$root/run.sh" --recipe an4 "$@"
