#!/usr/bin/env bash
# A Slurm array: each task runs every 100th file of a folder, on 4 cores.
#
#   sbatch examples/slurm.sh w.npz in/ out/
#
# A task that a failing system (71, 74, 75) or a signal (more than 128) ended is put back into the queue up to 3 times, and
# goes on with the files that are left.
#SBATCH --job-name=rnn
#SBATCH --array=0-99
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --requeue
#SBATCH --open-mode=append
set -uo pipefail
weights=$1 inputs=$2 outputs=${3%/}/

rnn run -w "$weights" -i "$inputs" -o "$outputs" --resume -q \
    --shard "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))/$SLURM_ARRAY_TASK_COUNT" \
    --threads "$SLURM_CPUS_PER_TASK"
code=$?
case $code in
71 | 74 | 75 | 129 | 1[3-9][0-9])
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
        scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    fi
    ;;
esac
exit $code
