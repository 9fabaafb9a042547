#!/usr/bin/env bash
# Runs one command in PROCESSES processes of this machine, each with DEVICES virtual CPU devices:
#   PROCESSES=2 DEVICES=4 bash launch/local.sh [--dry-run] train --config=dual_stream:smoke --workdir=runs/two
# Ctrl-C and SIGTERM go to all of them. If one ends with an error, the others have GRACE seconds (60) to end;
# then they are killed. The exit code is the first one that is not 0. PORT is that of process 0.
set -euo pipefail
: "${PROCESSES:?set PROCESSES to the number of processes}"
: "${DEVICES:?set DEVICES to the number of virtual devices of a process}"
dry=
if [ "${1:-}" = --dry-run ]; then dry=1; shift; fi
if [ $# = 0 ]; then
  echo "usage: PROCESSES=N DEVICES=M bash launch/local.sh [--dry-run] VERB ..." >&2
  exit 2
fi
port=${PORT:-$((20000 + RANDOM % 10000))}
export DFJAX_COORDINATOR=127.0.0.1:$port DFJAX_NUM_PROCESSES=$PROCESSES JAX_PLATFORMS=cpu
export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$DEVICES"
if [ -n "$dry" ]; then
  for ((i = 0; i < PROCESSES; i++)); do
    echo "DFJAX_COORDINATOR=$DFJAX_COORDINATOR DFJAX_NUM_PROCESSES=$PROCESSES DFJAX_PROCESS_ID=$i" \
      "JAX_PLATFORMS=cpu XLA_FLAGS='$XLA_FLAGS' ${PYTHON:-python} -m dfjax $*"
  done
  exit
fi

pids=()
signal() { kill "-$1" "${pids[@]}" 2>/dev/null || true; }
trap 'signal TERM' TERM
trap 'signal INT' INT
for ((i = 0; i < PROCESSES; i++)); do
  DFJAX_PROCESS_ID=$i "${PYTHON:-python}" -m dfjax "$@" &
  pids+=($!)
done

code=0
left=("${pids[@]}")
end=
while ((${#left[@]})); do
  running=()
  for pid in "${left[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then running+=("$pid"); continue; fi
    status=0
    wait "$pid" || status=$?
    if ((status && !code)); then code=$status; end=$((SECONDS + ${GRACE:-60})); fi
  done
  left=(${running[@]+"${running[@]}"})
  if [ -n "$end" ] && ((SECONDS > end)); then signal KILL; fi
  sleep 0.2 || true
done
exit "$code"
