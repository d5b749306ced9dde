"""Times Tenon against PyTorch, onnxruntime and HuggingFace tokenizers, interleaved; writes docs/benchmarks/CASE.json.

Each side is a process that works only when asked (worker.py says how); while one is timed the others are stopped. A
figure is written only if all sides give the same results, before the timing and after it.

Examples:
  bench.py --model bert-base-uncased --data aclImdb_labeled_50k.tar.gz
  bench.py bert_1x128 gru_32x256 --model bert-base-uncased --runs 7
  bench.py predict --run RUN
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import report
from bench_cases import CASES, WRITERS, errors
from common import ROOT


class Side:
    """A worker process, stopped except while it answers."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.info = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit code {self.process.wait()}")
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def ask(self, request):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer()

    def peak_memory(self):
        """Largest resident set in MB so far, mapped weights included."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def verify(sides, case, folder):
    """The largest error of every side's results against those of the first side that is not Tenon."""
    files = {side.name: folder / f"{side.name}.safetensors" for side in sides}
    reference = next((name for name in files if name != "tenon"), "tenon")
    worst = {}
    for name in files.keys() - {reference}:
        found = errors(files[name], files[reference])
        worst[name] = max(found.values())
        wrong = [f"{key}: {error:.1e}" for key, error in found.items() if not error <= case.tolerance]
        if wrong:
            raise SystemExit(f"{name} differs from {reference}: {', '.join(wrong)}")
    return {"reference": reference, "worst_error": worst}


def interleave(sides, case, runs, folder):
    """Seconds of each run, the sides in turn. The results of the first and of the last run are verified."""
    seconds = {side.name: [] for side in sides}
    for run in range(runs):
        checked = run in (0, runs - 1)
        for side in sides:
            request = f"output {folder / side.name}.safetensors" if checked else "run"
            seconds[side.name].append(side.ask(request)["seconds"])
        if checked:
            check = verify(sides, case, folder)
    return seconds, check


def summary(seconds, work, unit):
    median = statistics.median(seconds)
    return {
        "median_seconds": median,
        "minimum_seconds": min(seconds),
        "maximum_seconds": max(seconds),
        unit: round(work / median / (1e9 if unit == "gflops" else 1e6), 2),
        "seconds": seconds,
    }


def print_line(name, side, result, unit, ratio):
    spread = f"{result['minimum_seconds']:.3f}-{result['maximum_seconds']:.3f}"
    rate = f"{result[unit]} {unit}, {result['peak_memory_mb']} MB"
    print(f"{name:12} {side:12} {result['median_seconds']:8.3f} s ({spread}), {rate}, {ratio} times the first")


def run_case(name, options):
    case = CASES[name]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        work = WRITERS[case.worker](case, options, folder / "input")
        sides = []
        for side, command in case.commands(options, folder / "input").items():
            if side in (options.sides or [side]):
                sides.append(Side(side, command))
                stack.callback(sides[-1].close)
        seconds, check = interleave(sides, case, options.runs or case.runs, folder)
        unit = "megabytes_per_second" if case.worker == "tokenize" else "gflops"
        results = {
            side.name: {**side.info, **summary(seconds[side.name], work, unit), "peak_memory_mb": side.peak_memory()}
            for side in sides
        }
    first = next(iter(results.values()))["median_seconds"]
    ratios = {side: round(result["median_seconds"] / first, 2) for side, result in results.items()}
    for side, result in results.items():
        print_line(name, side, result, unit, ratios[side])
    return {"verified": check, "time_over_first": ratios, "sides": results}


def run_predict(options):
    """From process start to the answer."""
    if not options.run:
        raise SystemExit("predict: name a trained RUN with --run")
    command = [options.tenon, "predict", str(options.run), "--json", "This film is great"]
    seconds = []
    for _ in range(options.runs or 20):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(f"predict: {median:.3f} s ({min(seconds):.3f}-{max(seconds):.3f})")
    return {"runs": len(seconds), "median_seconds": median, "seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, predict (default: all but predict)")
    parser.add_argument("--model", type=Path, help="a BERT folder with model.safetensors")
    parser.add_argument("--data", type=Path, help="aclImdb folder or .tar.gz (default: TENON_IMDB)")
    parser.add_argument("--run", type=Path, help="a trained model, for the case predict")
    parser.add_argument("--tenon", help="the program (default: TENON_BIN, else the newest under build/)")
    parser.add_argument("--runs", type=int, help="timed runs of each side (default: by case, 3 to 20)")
    parser.add_argument("--sides", nargs="+", help="only these sides, the first one is compared with")
    parser.add_argument("--threads", type=int, default=report.threads(), help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="default: docs/benchmarks")
    options = parser.parse_args()
    unknown = set(options.cases) - {*CASES, "predict"}
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}")
    if not options.model and options.cases != ["predict"]:
        parser.error("--model: name a BERT folder")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if not options.sides or "tenon" in options.sides:
        options.tenon = report.program(options.tenon)
    for name in options.cases or CASES:
        report.write(options.out, name, run_predict(options) if name == "predict" else run_case(name, options))


if __name__ == "__main__":
    main()
