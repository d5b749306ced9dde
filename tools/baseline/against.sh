#!/usr/bin/env bash
# What `tenon bench --against pytorch` runs: bench.py with a python that has PyTorch. Its arguments are those of bench.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/venv.sh") || {
  echo "tenon: PyTorch cannot be had; name a virtual environment that has it in TENON_VENV" >&2
  exit 1
}
exec "$python" "$here/bench.py" "$@"
