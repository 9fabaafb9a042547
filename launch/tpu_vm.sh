#!/usr/bin/env bash
# Trains on a TPU slice of Google Cloud: asks for it as a queued resource, installs this checkout on
# all workers, trains, and asks again when a spot slice was taken away. Deletes the slice at the end.
#   PROJECT=my-project ZONE=us-west4-a TPU=run1 ACCELERATOR=v5litepod-16 RUNTIME=v2-alpha-tpuv5-lite \
#     MOUNT=my-bucket bash launch/tpu_vm.sh [--dry-run] --config=dual_stream --workdir=/data/run1
# MOUNT is a bucket of Cloud Storage, mounted at /data by gcsfuse. SPOT=no asks for a slice that is
# not taken away, RETRIES (20) is how often to ask, and KEEP=yes keeps a slice whose training ended.
# --dry-run prints the commands of the first try.
set -euo pipefail
cd "$(dirname "$0")/.."
dry=
[ "${1:-}" = --dry-run ] && dry=yes && shift
for name in PROJECT ZONE TPU ACCELERATOR RUNTIME; do
  [ -n "${!name:-}" ] || { echo "tpu_vm.sh: set $name (see the head of this file)" >&2; exit 2; }
done
[[ " $*" == *" --workdir"[=\ ]* ]] || { echo "tpu_vm.sh: needs --workdir=DIR" >&2; exit 2; }

where=(--project="$PROJECT" --zone="$ZONE") spot=(--spot) mount='true'
[ "${SPOT:-yes}" != no ] || spot=()
[ -z "${MOUNT:-}" ] || mount="sudo mkdir -p /data && sudo chown \$USER /data && { mountpoint -q \
/data || gcsfuse --implicit-dirs $(printf %q "$MOUNT") /data; }"
run() {
  printf '%q ' "$@"; echo
  [ -n "$dry" ] || "$@"
}
on_workers() { run gcloud compute tpus tpu-vm ssh "$TPU" "${where[@]}" --worker=all --command="$1"; }
state() {
  gcloud compute tpus queued-resources describe "$TPU" "${where[@]}" --format='value(state.state)' ||
    echo UNKNOWN
}
wait_for_slice() {
  while true; do
    case $(state) in ACTIVE) return 0 ;; FAILED | SUSPEND*) return 1 ;; esac
    sleep "${POLL:-30}"
  done
}
train() {
  run gcloud compute tpus queued-resources create "$TPU" --node-id="$TPU" "${where[@]}" \
    --accelerator-type="$ACCELERATOR" --runtime-version="$RUNTIME" "${spot[@]}" || return
  [ -n "$dry" ] || wait_for_slice || return
  run git archive --format=tar.gz --output=/tmp/dfjax.tar.gz HEAD || return
  run gcloud compute tpus tpu-vm scp /tmp/dfjax.tar.gz "$TPU:" "${where[@]}" --worker=all || return
  on_workers "mkdir -p dfjax && tar -xzf dfjax.tar.gz -C dfjax && pip install -q './dfjax[tpu]'" || return
  on_workers "$mount && DFJAX_XLA_PRESET=tpu python3 -m dfjax train $(printf '%q ' "$@")"
}
for ((try = 1; try <= ${RETRIES:-20}; try++)); do
  status=0 now=
  train "$@" || status=$?
  [ "$status" = 0 ] || now=$(state)
  if [ "$status" != 0 ] || [ -z "${KEEP:-}" ]; then
    run gcloud compute tpus queued-resources delete "$TPU" "${where[@]}" --force --quiet || true
  fi
  case $status:$now in
    75:* | *:SUSPEND* | *:FAILED) echo "tpu_vm.sh: try $try ended ($status, slice $now)" >&2 ;;
    *) exit "$status" ;;
  esac
done
exit "$status"
