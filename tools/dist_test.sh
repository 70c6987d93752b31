#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
set -euo pipefail
USAGE='usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]'
source "$(dirname "$0")/torchrun.sh"
launch "${3:?$USAGE}" "$(dirname "$0")/test.py" "${1:?$USAGE}" "${2:?$USAGE}" --launcher pytorch "${@:4}"
