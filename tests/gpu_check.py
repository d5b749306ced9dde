#!/usr/bin/env python3
"""tools/gpu-check without a GPU: it says so in one sentence, its rehearsal does every step that needs none, a step that
fails is named, and its JSON holds what a reader expects."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TOOLS = pathlib.Path(__file__).resolve().parent.parent / "tools"
SCRIPT = TOOLS / "gpu-check"


def check(*options, **environment):
    return subprocess.run([SCRIPT, *map(str, options)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **environment}, timeout=300)


def expect(holds, what, outcome):
    if not holds:
        sys.exit(f"gpu_check: {what}\n{outcome.stdout}\n{outcome.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder, with its tests")
    build = parser.parse_args().build

    wrong = check("--no-such-option")
    expect(wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1, "an unknown option is wrong usage", wrong)
    if subprocess.run(["sh", "-c", "nvidia-smi >/dev/null 2>&1"]).returncode:
        none = check("--build", build)
        expect(none.returncode == 1 and "there is no GPU here" in none.stderr and len(none.stderr.splitlines()) == 1,
               "a machine without a GPU gets one sentence", none)

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        out = folder / "out.json"
        rehearsal = check("--dry-run", "--build", build, "--out", out)
        expect(rehearsal.returncode == 0 and "no GPU is used" in rehearsal.stdout, "the rehearsal passes", rehearsal)
        report = json.loads(out.read_text())
        names = {step["name"] for step in report["steps"]}
        expect({"kernels_test", "tracer_test", "train_small_fp32", "train_bert_base_fp32", "bench_gelu"} <= names, "all steps are there", rehearsal)
        expect(all(step["status"] == "passed" for step in report["steps"]), "all steps passed", rehearsal)
        for run in ("train_small_fp32", "train_bert_base_fp32"):
            expect("test_loss" in report[run][-1], f"{run} came to its end", rehearsal)
        expect(report["bench"][0]["results"][0]["variants"], "the bench has figures", rehearsal)
        expect(report["device"] == "cpu" and report["gpu"] == "none", "the report says that it is none of a GPU", rehearsal)

        docs = folder / "docs"
        (docs / "benchmarks").mkdir(parents=True)
        out.rename(docs / "benchmarks" / "gpu_check.json")
        page = subprocess.run([sys.executable, TOOLS / "baseline" / "make_page.py", "--docs", docs], text=True, stderr=subprocess.PIPE)
        expect(page.returncode == 0, f"the page of benchmarks takes the report: {page.stderr}", rehearsal)
        text = (docs / "benchmarks.md").read_text()
        expect("`train_small_fp32`" in text and "| gelu | erf 64x768 |" in text, f"the page shows the report: {text}", rehearsal)

        failing = check("--dry-run", "--build", build, "--out", out, TENON_KERNEL="no_such_operation=plain")
        expect(failing.returncode == 1 and "train_small_fp32" in failing.stderr, "a step that fails is named", failing)
        failed = [step["name"] for step in json.loads(out.read_text())["steps"] if step["status"] == "failed"]
        expect("train_small_fp32" in failed and "kernels_test" not in failed, "the report says which failed", failing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
