#!/usr/bin/env bash
# Read Russian prose, one voice, 16 kHz: --corpus DIR (a folder with the Debian package festvox-ru) instead of a download.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
exec "$root/run.sh" --recipe festvox_ru "$@"
