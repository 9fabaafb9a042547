#!/usr/bin/env bash
# Trains and evaluates a detector on synthetic faces: bash launch/demo.sh [--fresh]
# Takes about ten minutes on two cores and needs Python >= 3.11. A second run reuses existing results;
# --fresh deletes them first. All files are written to runs/demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  --fresh) rm -rf runs/demo ;;
  "") ;;
  *) echo "usage: bash launch/demo.sh [--fresh]" >&2; exit 2 ;;
esac
. launch/environment.sh
make_environment .

demo=runs/demo
step() { echo; echo "== $1"; shift; echo "   $*"; "$@"; }

step "1/7 generate synthetic faces, real and manipulated, with splits by identity" \
  dfjax data synth --out $demo/data --videos 2000 --identities 200 --mp4 4
step "2/7 pack them" dfjax data pack --index $demo/data/index.parquet --out $demo/pack
step "3/7 train the dual-stream detector (tiny), with one manipulation held back" \
  dfjax train --config=dual_stream:tiny --workdir=$demo/workdir --config.data.path=$demo/pack \
  --config.data.holdout_methods="('warp',)"
step "4/7 evaluate on identities that are not in the training data" \
  dfjax evaluate --workdir $demo/workdir --out $demo
step "5/7 score videos" \
  dfjax predict --workdir $demo/workdir $demo/data/videos --out $demo/predict
step "6/7 export the weights" \
  dfjax export --workdir $demo/workdir --to safetensors --out $demo/dual_stream.safetensors
step "7/7 write a report" \
  dfjax report --workdir $demo/workdir --evaluation $demo --out $demo/report.html

echo
echo "Look at $demo/: report.html metrics.json predictions.parquet roc.png curves.png sheet.png predict/"
