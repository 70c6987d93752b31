#!/usr/bin/env bash
# [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=8] [SRUN_ARGS=...] tools/slurm_train.sh PARTITION JOB CONFIG [options of tools/train.py]
set -euo pipefail
USAGE='usage: GPUS=8 tools/slurm_train.sh PARTITION JOB CONFIG [options of tools/train.py]'
GPUS=${GPUS:-8}
[[ $GPUS =~ ^[1-9][0-9]*$ ]] || { echo "error: GPUS is '$GPUS', but should be a whole number from 1. $USAGE" >&2; exit 2; }
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
# shellcheck disable=SC2086
srun -p "${1:?$USAGE}" --job-name="${2:?$USAGE}" --gres=gpu:"$GPUS_PER_NODE" --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" --cpus-per-task="${CPUS_PER_TASK:-8}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "${3:?$USAGE}" --launcher slurm "${@:4}"
