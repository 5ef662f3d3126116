#!/usr/bin/env bash
# Read Russian prose, one voice, 16 kHz: --corpus DIR (a folder with the Debian package festvox-ru) instead of a download.
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../run.sh" --recipe festvox_ru "$@"
