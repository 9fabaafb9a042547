#!/usr/bin/env bash
# Trains a generator on synthetic pairs to fool the detector of launch/demo.sh, measures how it does,
# and hardens the detector: bash launch/defake_demo.sh [--fresh | --dry-run]
# Takes about 15 minutes on two cores after launch/demo.sh, which it runs first where that has not been
# done. Needs Python >= 3.11. A second run resumes and reuses existing results; --fresh deletes them
# first, those of launch/demo.sh excepted; --dry-run prints the commands. All files are written to
# runs/defake_demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
demo=runs/demo
defake=runs/defake_demo
dry=
case "${1:-}" in
  --fresh) rm -rf $defake ;;
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

if [ -n "$dry" ] || [ ! -e $demo/report.html ]; then
  step "1/6 make the data and the detector of the demo" bash launch/demo.sh
else
  echo; echo "== 1/6 the data and the detector of $demo/ are used"
fi
step "2/6 compute the optical flow of the data" \
  dfjax data flow --index $demo/data/index.parquet --out $defake/flow --stride 1
step "3/6 pack them" dfjax data pack --index $defake/flow/index.parquet --out $defake/pack
step "4/6 train a generator on the pairs, with the detector as critic" \
  dfjax train --config=defake:tiny --workdir=$defake/generator --config.data.path=$defake/pack \
  --config.loss.critic.detector=$demo/workdir --config.loss.critic.weight=0.003 \
  --config.model.unet.width=0.125 --config.data.train_clips=1 --config.train.epochs=8
step "5/6 restore the fakes of people that are not in the training data, and score them" \
  dfjax evaluate --defake $defake/generator --detector $demo/workdir
step "6/6 train the detector further with restored fakes" \
  dfjax harden --detector $demo/workdir --generator $defake/generator --rounds 1 \
  --workdir $defake/hardened

echo
echo "Look at $defake/: generator/eval/restoration/sheet.png generator/samples/ hardened/harden.json"
