"""Times Tenon against PyTorch and its peers: `tenon bench --against pytorch` runs this.

Each side is a process that works only when asked (worker.py says how); while one is timed the others are stopped. Sides
whose inputs, tokens, element types, devices or threads differ are not compared, and a figure is given only if all sides
give the same results in the first round, in the last, and in one that none can foresee.

Examples:
  bench.py bert_8x128 gru --dtype bf16
  bench.py --json docs/benchmarks/pytorch.json
  bench.py tokenize --data aclImdb_labeled_50k.tar.gz
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

import report
from bench_cases import CASES, FP32_LIMIT, ROUNDED_FACTOR, errors
from sides import Side, UnequalWork, check_agreement, check_equal_work, interleave, ratio_interval, summary

UNITS = {"tokenize": "bytes", "adamw": "elements"}


def start(case, names, options, input_file, stack):
    """The sides that can do the work here, and why the others cannot."""
    sides, left_out = [], {}
    for name in names:
        side = Side(name, case.command(name, options, input_file))
        stack.callback(side.close)
        if reason := side.info.get("unavailable"):
            left_out[name] = reason
        else:
            sides.append(side)
    return sides, left_out


def exact_results(case, peer, options, input_file, folder):
    """What the peer computes in fp32, as a file."""
    side, path = Side(peer, case.command(peer, options, input_file, "fp32")), folder / "exact.safetensors"
    if reason := side.info.get("unavailable"):
        raise SystemExit(f"{peer} in fp32, the reference, cannot run: {reason}")
    side.ask(f"output {path}")
    side.close()
    return path


class Verifier:
    """Compares all sides with PyTorch: in fp32 with a fixed limit, else by the error that PyTorch makes in that type."""

    def __init__(self, case, peer, options, input_file, folder):
        self.peer, self.folder, self.rounded = peer, folder, options.dtype != "fp32"
        self.exact = exact_results(case, peer, options, input_file, folder) if self.rounded else folder / f"{peer}.safetensors"
        self.limit = 0 if case.work == "tokenize" else FP32_LIMIT
        self.worst = {}

    def __call__(self, sides):
        found = {side.name: errors(self.folder / f"{side.name}.safetensors", self.exact) for side in sides}
        if self.rounded:
            self.yardstick = found.get(self.peer, getattr(self, "yardstick", None))
            limits = {name: ROUNDED_FACTOR * error + FP32_LIMIT for name, error in self.yardstick.items()}
        else:
            limits = dict.fromkeys(next(iter(found.values())), self.limit)
        check_agreement(found, limits)
        self.worst = {name: max(self.worst.get(name, 0), *one.values()) for name, one in found.items()}

    def account(self):
        reference = f"{self.peer} in fp32" if self.rounded else self.peer
        limit = f"{ROUNDED_FACTOR} times the error of {self.peer}" if self.rounded else self.limit
        return {"reference": reference, "limit": limit, "worst_error": self.worst}


def run_case(name, options):
    case = CASES[name]
    wanted = ["tenon", *case.peers(options)]
    names = [side for side in wanted if side == "tenon" or not options.sides or side in options.sides]
    if len(names) < 2:
        raise SystemExit(f"--sides: {name} has the sides {', '.join(wanted)}; name one of them beside tenon")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        input_file = folder / "input"
        work = case.write(case, options, input_file)
        sides, left_out = start(case, names, options, input_file, stack)
        if len(sides) < 2:
            raise SystemExit(f"{name}: no side is left to compare with: {left_out}")
        check_equal_work(sides)
        verify = Verifier(case, sides[1].name, options, input_file, folder)
        samples = interleave(sides, folder, verify, options.seconds, options.rounds)
        results = {}
        for side in sides:
            figures = summary(samples[side.name])
            figures["rate"] = work / figures["median_seconds"]
            figures["time_over_tenon"] = ratio_interval(samples[side.name], samples["tenon"])
            results[side.name] = {**side.info, **figures, "peak_memory_mb": side.peak_memory()}
    unit = UNITS.get(case.work, "flops")
    found = {"case": name, "title": case.title, "work": case.work, "unit": unit, "device": options.device, "dtype": options.dtype}
    return found | {"verified": verify.account(), "left_out": left_out, "sides": results}


def print_result(result):
    unit = {"flops": "GFLOP/s", "bytes": "MB/s", "elements": "M/s"}[result["unit"]]
    scale = 1e9 if result["unit"] == "flops" else 1e6
    print(f"{result['case']}, {result['device']}, {result['dtype']}; verified against {result['verified']['reference']}")
    print(f"  {'side':14}{'median ms':>12}{'10 % - 90 %':>22}{'runs':>6}{unit:>10}{'peak MB':>9}  times Tenon's, 95 %")
    best = min((name for name in result["sides"] if name != "tenon"), key=lambda n: result["sides"][n]["median_seconds"])
    for name, side in result["sides"].items():
        spread = f"{1e3 * side['p10_seconds']:.2f} - {1e3 * side['p90_seconds']:.2f}"
        over = side["time_over_tenon"]
        ratio = f"{over['ratio']:.2f} ({over['low']:.2f} - {over['high']:.2f})" + (" best peer" if name == best else "")
        columns = f"{1e3 * side['median_seconds']:12.2f}{spread:>22}{side['runs']:6}{side['rate'] / scale:10.1f}"
        print(f"  {name:14}{columns}{side['peak_memory_mb']:9}  {ratio}")
    for name, reason in result["left_out"].items():
        print(f"  {name:14}left out: {reason}")
    print(flush=True)


def record(path, results):
    """Adds the results to the file; those of the same case, type and device on the same machine are replaced."""
    key = lambda one: (one["case"], one["dtype"], one["device"], one["processor"], one.get("gpu"))
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    new = {key(one) for one in results}
    kept = [one for one in kept if key(one) not in new] + results
    path.write_text(json.dumps({"kind": "against", "results": kept}, indent=1) + "\n")


def chosen_cases(names, parser):
    works = {case.work for case in CASES.values()}
    unknown = [name for name in names if name not in CASES and name not in works]
    if unknown:
        parser.error(f"no such work or case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    return [name for name, case in CASES.items() if not names or name in names or case.work in names]


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"tenon: {message}\n")


def parse():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="WORK", help=f"of {', '.join(CASES)}, or the works they begin with (default: all)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["fp32", "tf32", "bf16"], default="fp32")
    parser.add_argument("--model", type=Path, help="a BERT folder with model.safetensors (default: random weights)")
    parser.add_argument("--data", type=Path, help="aclImdb folder or .tar.gz, for tokenize (default: TENON_IMDB)")
    parser.add_argument("--tenon", help="the program (default: TENON_BIN, else the newest under build/)")
    parser.add_argument("--sides", type=lambda text: text.split(","), help="only these beside tenon, with commas")
    parser.add_argument("--rounds", type=int, help="timed runs of each side (default: what fits into --seconds, 5 to 40)")
    parser.add_argument("--seconds", type=float, default=90, help="of timing for a case (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=report.threads(), help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="keep the figures in this file, beside those that are there already")
    options = parser.parse_args()
    options.names = chosen_cases(options.names, parser)
    if options.device == "cpu" and options.dtype == "tf32":
        parser.error("--dtype tf32: processors have no such products; use fp32 or bf16")
    return options


def can_run(name, options):
    """Whether the case has what it needs and knows the type; says so if not."""
    work = CASES[name].work
    if work in ("tokenize", "adamw") and options.dtype != "fp32":
        return False
    if work == "tokenize" and (options.device != "cpu" or not (options.data or os.environ.get("TENON_IMDB"))):
        print("tokenize, left out: name the reviews with --data or in TENON_IMDB\n")
        return False
    if work == "tokenize" and not CASES[name].folder(options).exists():
        print("tokenize, left out: name a folder with a vocabulary with --model\n")
        return False
    return True


def main():
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # no side is left behind, stopped
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    options.tenon = report.program(options.tenon)
    refused = []
    for name in filter(lambda name: can_run(name, options), options.names):
        try:
            result = {**report.machine(options.device), **run_case(name, options)}
        except UnequalWork as error:
            refused.append(f"{name}: {error}")
            print(f"{name}: no figures. {error}\n", flush=True)
            continue
        print_result(result)
        if options.json:
            record(options.json, [result])
    if refused:
        raise SystemExit(f"{len(refused)} of {len(options.names)} cases have no figures")


if __name__ == "__main__":
    main()
