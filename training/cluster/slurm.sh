#!/bin/bash
# A training on several nodes under Slurm: one worker a node, each with all GPUs of its node.
#
#     sbatch --nodes=2 training/cluster/slurm.sh RUN_FOLDER [RECIPE] [--set KEY=VALUE ...]
#
# RUN_FOLDER and the images lie on a file system that all nodes see; `ssah` is on the PATH of each.
# The train.batch of the recipe is shared by all GPUs of all nodes. If a worker fails, Slurm ends
# the others and begins the job again, at most 5 times; it goes on from the newest checkpoint.
# Run against stand-ins of `scontrol` and `srun` by tests/training/test_cluster.py, not on a cluster.
#SBATCH --job-name=ssah
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail

run=${1:?"usage: sbatch --nodes=N slurm.sh RUN_FOLDER [RECIPE] [--set KEY=VALUE ...]"}
shift
# Decided once, here: the chief makes the folder before the others could look.
if [ -f "$run/recipe.yaml" ]; then words=(--resume "$run"); else words=("$@" --output "$run"); fi

port=$((20000 + SLURM_JOB_ID % 10000))
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$port\"/" | paste -sd,)
export workers

# shellcheck disable=SC2016  # to be expanded on the nodes
srun --kill-on-bad-exit=1 bash -c '
    task="{\"type\": \"worker\", \"index\": $SLURM_PROCID}"
    export TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": $task}"
    exec ssah train "$@"
' worker "${words[@]}" && exit

if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit 1
