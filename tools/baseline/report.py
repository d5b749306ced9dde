"""Where the `tenon` program is, what machine this is, and the JSON files of docs/benchmarks/."""

import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(path=None):
    """The `tenon` program: an argument, TENON_BIN, or the newest one under build/."""
    path = path or os.environ.get("TENON_BIN")
    built = [file for file in ROOT.glob("build/**/tenon") if file.is_file() and os.access(file, os.X_OK)]
    if not path and not built:
        raise SystemExit("no tenon program: build it, or name it in TENON_BIN or with --tenon")
    return str(path or max(built, key=lambda file: file.stat().st_mtime))


def threads():
    return len(os.sched_getaffinity(0))


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def gpu_name():
    """The first GPU with its driver and clocks, as nvidia-smi tells them."""
    query = "name,driver_version,clocks.max.sm,clocks.max.mem"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def revision():
    """Of the sources; "-dirty" if they differ from it, the figures and their page aside."""
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs/benchmarks*")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def machine(device="cpu"):
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), "unknown")
    packages = ("torch", "transformers", "tokenizers", "onnxruntime", "ctranslate2", "numpy")
    gpu = {"gpu": gpu_name()} if device == "cuda" else {}
    return {
        **gpu,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": model,
        "threads": threads(),
        "system": platform.platform(),
        "revision": revision(),
        "versions": {package: installed(package) for package in packages},
    }


def write(folder, name, result):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"name": name, **machine(), **result}, indent=2) + "\n")
    print(f"wrote {path}")
