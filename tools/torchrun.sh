# launch GPUS TOOL [ARGUMENTS]: one process a GPU, for tools/dist_train.sh and tools/dist_test.sh

launch() {
    if [[ ! $1 =~ ^[1-9][0-9]*$ ]]; then
        echo "error: GPUS is '$1', but should be a whole number from 1. $USAGE" >&2
        exit 2
    fi
    local meeting=(--standalone) # a port of its own, so that two runs share a machine
    if [[ ${NNODES:-1} != 1 || -n ${PORT:-} ]]; then
        PORT=${PORT:-29500}
        if [[ ! $PORT =~ ^[1-9][0-9]{0,4}$ ]] || ((PORT > 65535)); then
            echo "error: PORT is '$PORT', but should be a whole number from 1 to 65535" >&2
            exit 2
        fi
        meeting=(--nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}"
            --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="$PORT")
    fi
    torchrun "${meeting[@]}" --nproc_per_node="$1" "${@:2}"
}
