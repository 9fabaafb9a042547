#!/usr/bin/env bash
# Trains a generator on synthetic pairs to fool the detector of the demo, measures how it does, and
# hardens the detector: bash launch/defake_demo.sh [--fresh | --dry-run]
# Needs Python >= 3.11. A second run resumes and reuses existing results; --fresh deletes them first,
# --dry-run prints the commands. All files are written to runs/defake_demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=runs/defake_demo
dry=
case "${1:-}" in
  --fresh) rm -rf $demo ;;
  --dry-run) dry=1 ;;
  "") ;;
  *) echo "usage: bash launch/defake_demo.sh [--fresh | --dry-run]" >&2; exit 2 ;;
esac
[ -n "$dry" ] || { . launch/environment.sh && make_environment .; }

step() {
  echo; echo "== $1"; shift
  printf '   '; printf '%q ' "$@"; echo
  [ -n "$dry" ] || "$@"
}

step "1/7 generate synthetic faces, real and manipulated, as in the demo" \
  dfjax data synth --out $demo/data --videos 2000 --identities 200
step "2/7 compute their optical flow" \
  dfjax data flow --index $demo/data/index.parquet --out $demo/flow --stride 1
step "3/7 pack them" dfjax data pack --index $demo/flow/index.parquet --out $demo/pack
step "4/7 train the detector of the demo" \
  dfjax train --config=dual_stream:tiny --workdir=$demo/detector --config.data.path=$demo/pack \
  --config.data.holdout_methods="('warp',)"
step "5/7 train a generator on the pairs, with the detector as critic" \
  dfjax train --config=defake:tiny --workdir=$demo/generator --config.data.path=$demo/pack \
  --config.loss.critic.detector=$demo/detector --config.loss.critic.weight=0.003 \
  --config.model.unet.width=0.125 --config.data.train_clips=1 --config.train.epochs=8
step "6/7 restore the fakes of people that are not in the training data, and score them" \
  dfjax evaluate --defake $demo/generator --detector $demo/detector
step "7/7 train the detector further with restored fakes" \
  dfjax harden --detector $demo/detector --generator $demo/generator --rounds 1 \
  --workdir $demo/hardened

echo
echo "Look at $demo/: generator/eval/restoration/sheet.png generator/samples/ hardened/harden.json"
