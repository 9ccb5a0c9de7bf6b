#!/usr/bin/env bash
# Builds the wheel, installs it with the newest libraries that it allows into an environment of its
# own, and works with it in an empty folder: train, resume, evaluate, predict.
#
#   tools/check_wheel.sh [PYTHON] [FOLDER]
#
# PYTHON is the interpreter, python3 by default; FOLDER keeps what is made, else it is removed.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
python="${1:-python3}"
if [[ $# -ge 2 ]]; then
  mkdir -p "$2"
  folder="$(cd "$2" && pwd)"
else
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
fi

[[ -x $folder/venv/bin/python ]] || "$python" -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input)
rm -rf "$folder/dist" "$folder/work"
"${pip[@]}" wheel --no-deps --wheel-dir "$folder/dist" "$root"
"${pip[@]}" install "$folder"/dist/hrnet_jax-*.whl
"${pip[@]}" install --force-reinstall --no-deps "$folder"/dist/hrnet_jax-*.whl
"$folder/venv/bin/python" -c '
import importlib.metadata as m, sys
names = ("jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
print("Python", sys.version.split()[0], *(f"{x} {m.version(x)}" for x in names))'

# Nothing of the checkout, and nothing of a home folder.
mkdir -p "$folder/work"
cd "$folder/work"
export HOME="$folder/work/home"
unset PYTHONPATH
hrnet="$folder/venv/bin/hrnet"
"$hrnet" --version
"$hrnet" train --config=segmentation/cityscapes:w48_ocr --print_config > config.txt
grep -q "'head': 'ocr'" config.txt
"$hrnet" prepare --dataset=shapes
train=("$hrnet" train --config=quickstart --workdir=runs/q --config.train.epochs=0
  --config.train.steps=6 --config.train.batch_size=2 --config.transform.train.crop_size="(64,64)"
  --config.eval.batch_size=4 --config.eval.examples=8 --config.eval.pictures=1
  --config.checkpoint.every_steps=2)
"${train[@]}" &
pid=$!
# Stopped after the first checkpoint, and continued.
for _ in $(seq 600); do
  [[ -d runs/q/checkpoints/2 ]] && break
  kill -0 "$pid" 2>/dev/null || break
  sleep 1
done
kill -TERM "$pid" 2>/dev/null || true
wait "$pid"
"${train[@]}"
[[ -d runs/q/checkpoints/6 ]]
"$hrnet" eval --config=quickstart --workdir=runs/q --config.eval.batch_size=4 \
  --config.data.eval_split='val[:8]' --config.eval.pictures=1
"$folder/venv/bin/python" - <<'PY'
import numpy as np
from PIL import Image
rng = np.random.default_rng(0)
Image.fromarray(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8)).save("photo.png")
PY
"$hrnet" predict --checkpoint=runs/q --input=photo.png --output=predictions
[[ -f predictions/photo_labels.png ]]
echo "wheel: all well"
