#!/usr/bin/env bash
# Trains detectors on real and fake face crops and evaluates them on other groups of videos:
#   bash launch/real_faces.sh FOLDER [--dry-run]
# FOLDER has faces.csv (path,label,method,group,pair_id) and the crops. With Meso4_DF.h5 in the folder
# $DFJAX_WEIGHTS, the published Meso4 is evaluated too. Finished steps are not repeated and
# interrupted ones resume. --dry-run prints the commands. All files are written to runs/real_faces/.
set -euo pipefail
[ $# -ge 1 ] && [ -f "$1/faces.csv" ] || { sed -n 2,6p "$0" >&2; exit 2; }
faces=$(cd "$1" && pwd) dry=${2:-}
cd "$(dirname "$0")/.."
[ -n "$dry" ] || { . launch/environment.sh && make_environment '.[pretrained]'; }
out=runs/real_faces checkpoint=best

step() {  # step RESULT ARGUMENTS…: runs dfjax unless the result exists
  [ -z "$dry" ] && [ -e "$1" ] && return
  printf dfjax; printf ' %q' "${@:2}"; echo
  [ -n "$dry" ] || dfjax "${@:2}"
}
crops() {  # crops INDEX FOLDER: one crop a photo, as large as it is
  step "$2/index.parquet" data extract --index "$1" --out "$2" --detector none --size 224 --frames 1
}
detector() {  # detector NAME PACK ARGUMENTS…: trains, and evaluates $checkpoint
  local run=$out/$1 pack=$2 result=$out/$1/eval/test/metrics.json
  step $result train --config=real_faces --workdir=$run --config.data.path=$pack "${@:3}"
  step $result evaluate --workdir $run --checkpoint $checkpoint
}

step $out/index.parquet data index --adapter csv --root "$faces" --out $out/index.parquet
crops $out/index.parquet $out/crops
step $out/joined.parquet data dedupe --index $out/crops/index.parquet --similarity 0.85 --out $out/joined.parquet
step $out/split.parquet data split --index $out/joined.parquet --by group --ratios 0.7,0.1,0.2 --out $out/split.parquet
step $out/pack/checksums.json data pack --index $out/split.parquet --out $out/pack
step $out/audit/audit.json data audit --index $out/pack --out $out/audit

step $out/lite0.safetensors weights fetch lite0 --out $out/lite0.safetensors
loaded=(--config.init.backbone=$out/lite0.safetensors)
random=(--config.optimizer.freeze='()' --config.optimizer.multipliers='()' --config.model.frame_classifier.base_train=True)
detector lite0_imagenet $out/pack "${loaded[@]}"
detector lite0_random $out/pack "${random[@]}" --config.train.epochs=2  # each takes twice the time
detector resnet18_random $out/pack "${random[@]}" --config.preprocess.size=112 \
  --config.model.frame_classifier.backbone=resnet18

# Of the training data the real faces alone, and fakes made of them by self-blending; no fake chooses the checkpoint
checkpoint=last detector lite0_self_blended $out/pack "${loaded[@]}" --config.train.epochs=2 \
  --config.data.self_blend=1 --config.data.pairing=paired --config.augment.preset=sbi

if [ -f "${DFJAX_WEIGHTS:-}/Meso4_DF.h5" ]; then
  step $out/meso4.safetensors weights import --from keras "$DFJAX_WEIGHTS/Meso4_DF.h5" \
    --model meso4 --out $out/meso4.safetensors
  step $out/meso4/metrics.json evaluate --weights $out/meso4.safetensors --index $out/pack --out $out/meso4
fi

# Both classes encoded again alike: what remains of the difference
step $out/alike/index.parquet data compress --index $out/split.parquet --out $out/alike --crf 30
crops $out/alike/index.parquet $out/alike/crops
step $out/alike/pack/checksums.json data pack --index $out/alike/crops/index.parquet --out $out/alike/pack
step $out/alike/audit/audit.json data audit --index $out/alike/pack --out $out/alike/audit
step $out/lite0_imagenet/alike/metrics.json evaluate --workdir $out/lite0_imagenet \
  --index $out/alike/pack --out $out/lite0_imagenet/alike
detector lite0_alike $out/alike/pack "${loaded[@]}"
