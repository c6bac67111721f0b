#!/usr/bin/env bash
# What a GPU does for training and features, beside the CPU; at most 8 minutes.
#
#     bash benchmarks/gpu.sh [--data DIR] [--cpu]
#
# The first line says whether TensorFlow sees a GPU (pip install 'ssah-tf[gpu]'); without one that is
# the result. Then on the GPU and on the CPU: a training step as it is, compiled by XLA and in
# bfloat16, the steps of each control, features of a frozen network, and how far the weights are
# apart after 20 steps in float32. With --data the photos of class folders are trained on at 224 px
# in what time is left. --cpu runs all that on the CPU at a small size, to try the script.
# PYTHON is the Python that has the product, .venv/bin/python by default.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
LIMIT=${LIMIT:-480}
data="" small=""
while [ $# -gt 0 ]; do
    case $1 in
        --data) data=${2:?--data names a folder}; shift 2 ;;
        --cpu) small=yes; shift ;;
        *) echo "$1: expected --data DIR or --cpu" >&2; exit 2 ;;
    esac
done

# Seconds by the clock of the whole are bounded: each part gets what is left.
part() {
    echo
    echo "== $1, after $SECONDS s"
    shift
    timeout --signal=INT --kill-after=20 $((LIMIT > SECONDS ? LIMIT - SECONDS : 1)) "$@" ||
        echo "ended with exit code $?"
}

if ! seen=$("$PYTHON" benchmarks/gpu_weights.py --see 2>&1 | tail -1) || [ "${seen#GPU: }" = "$seen" ]; then
    echo "TensorFlow sees no GPU: $seen"
    [ "$small" ] || exit 0
else
    echo "$seen"
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
steps=24 rounds=5 sides="224 160"
if [ "$small" ]; then
    export CUDA_VISIBLE_DEVICES=-1
    steps=2 rounds=1 sides="64"
fi
on_cpu=(env CUDA_VISIBLE_DEVICES=-1 "$PYTHON")
part "20 steps in float32 on the CPU" "${on_cpu[@]}" benchmarks/gpu_weights.py "$folder/weights.npz"
part "the same here, against them" "$PYTHON" benchmarks/gpu_weights.py "$folder/weights.npz"
part "a step in other forms" "$PYTHON" benchmarks/step_variants.py --rounds $rounds
part "steps of the controls" "$PYTHON" benchmarks/training_speed.py \
    --steps $steps --rounds $rounds
part "features" "$PYTHON" benchmarks/feature_speed.py --sides $sides --rounds $rounds
if [ ! "$small" ]; then
    part "steps of the controls on the CPU" "${on_cpu[@]}" benchmarks/training_speed.py \
        --steps 8 --rounds 3
    part "features on the CPU" "${on_cpu[@]}" benchmarks/feature_speed.py --sides $sides --rounds 3
fi
if [ "$data" ]; then
    part "training on photos" "$PYTHON" -m ssah_tf.cli train pretrained --data "$data" \
        --set data.image_size=224 --output "$folder/run"
fi
echo
echo "took $SECONDS s"
