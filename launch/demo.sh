#!/usr/bin/env bash
# Synthetic faces in, a trained and evaluated detector out: bash launch/demo.sh [--fresh]
# Ten minutes on two cores, on a machine that has Python >= 3.11 and nothing else. A second run
# reuses what is there; --fresh starts over. Everything lies in runs/demo/.
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

step "1/6 faces: synthetic, real and manipulated, identities split once and for all" \
  dfjax data synth --out $demo/data --videos 2000 --identities 200 --mp4 4
step "2/6 pack" dfjax data pack --index $demo/data/index.parquet --out $demo/pack
step "3/6 train the two-stream detector (tiny), one manipulation held back" \
  dfjax train --config=dual_stream:tiny --workdir=$demo/workdir --config.data.path=$demo/pack \
  --config.data.holdout_methods="('warp',)"
step "4/6 evaluate on identities it never saw" \
  dfjax evaluate --workdir $demo/workdir --out $demo
step "5/6 score videos" \
  dfjax predict --workdir $demo/workdir $demo/data/videos --out $demo/predict
step "6/6 export the weights" \
  dfjax export --workdir $demo/workdir --to safetensors --out $demo/dual_stream.safetensors

echo
echo "Look at $demo/: metrics.json predictions.parquet roc.png curves.png sheet.png predict/"
