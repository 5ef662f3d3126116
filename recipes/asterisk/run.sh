#!/usr/bin/env bash
# Telephone prompts, one voice in each of five languages: --language en (the default), es, fr, it or ru.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
exec "$root/run.sh" --recipe asterisk "$@"
