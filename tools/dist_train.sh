#!/usr/bin/env bash
# tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT from the environment. On one, a free port is found.
set -euo pipefail
USAGE='usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]'
source "$(dirname "$0")/torchrun.sh"
launch "${2:?$USAGE}" "$(dirname "$0")/train.py" "${1:?$USAGE}" --launcher pytorch "${@:3}"
