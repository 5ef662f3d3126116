#!/usr/bin/env bash
# Telephone prompts, one voice in each of five languages: --language en (the default), es, fr, it or ru.
exec "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../../run.sh" --recipe asterisk "$@"
