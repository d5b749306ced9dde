#!/usr/bin/env python3
"""tenon bench --against pytorch: sides whose work is not the same get no figure, only one process runs at a time, a slow side is timed
seldom. With --pytorch: each work on small inputs, Tenon and PyTorch giving the same results (77 where PyTorch is missing)."""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "tools" / "baseline"
sys.path.insert(0, str(BASELINE))

# A worker that takes as many milliseconds as it is told, and says of itself what it is told.
STUB = """import json, sys, time
info, seconds = json.loads(sys.argv[1]), float(sys.argv[2])
print(json.dumps(info), flush=True)
for line in sys.stdin:
    time.sleep(seconds / 10)
    print(json.dumps({"seconds": seconds}), flush=True)
"""
INFO = {"input_sha256": "a", "tokens": 8, "dtype": "fp32", "device": "cpu", "threads": 2}


def expect(holds, what):
    if not holds:
        sys.exit(f"against: {what}")


def stub(name, seconds=0.001, **other):
    import sides

    return sides.Side(name, [sys.executable, "-c", STUB, json.dumps({**INFO, **other}), str(seconds)])


def stopped(side):
    """Whether the process is stopped, or becomes so soon."""
    for _ in range(100):
        if pathlib.Path(f"/proc/{side.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.01)
    return False


def refused(function, *arguments):
    import sides

    try:
        function(*arguments)
    except sides.UnequalWork as error:
        return str(error)
    return ""


def unequal_work_is_refused():
    import sides

    first, same = stub("tenon"), stub("pytorch")
    expect(not refused(sides.check_equal_work, [first, same]), "equal work is compared")
    for key, value in (("input_sha256", "b"), ("tokens", 9), ("dtype", "bf16"), ("device", "cuda"), ("threads", 1)):
        other = stub("pytorch", **{key: value})
        expect(key in refused(sides.check_equal_work, [first, other]), f"another {key} is refused")
        other.close()
    limits = {"output": 1e-4}
    agree = lambda error: refused(sides.check_agreement, {"tenon": {"output": error}}, limits)
    expect(not agree(1e-5), "equal results are compared")
    expect("tenon" in agree(1e-3) and agree(math.nan), "results that differ or are no numbers are refused")
    first.close()
    same.close()


def one_runs_at_a_time():
    import sides

    running = [stub("tenon"), stub("pytorch"), stub("slow", 0.05)]
    verified = []

    def verify(active):
        verified.append([side.name for side in active])
        expect(all(stopped(side) for side in running), "a side that is not asked is stopped")

    samples = sides.interleave(running, pathlib.Path("/nowhere"), verify, 1, rounds=8)
    for side in running:
        side.close()
    expect([len(samples[name]) for name in ("tenon", "pytorch", "slow")] == [8, 8, 3], f"a slow side is timed seldom: {samples}")
    expect(2 <= len(verified) <= 3 and len(verified[0]) == 3, "the first round, the last and one between are verified")
    ratio = sides.ratio_interval([2.0, 2.2, 1.8, 2.1], [1.0, 1.1, 0.9, 1.0])
    expect(ratio["low"] <= ratio["ratio"] == 2.05 / 1.0 <= ratio["high"] and ratio["low"] > 1.9, f"the interval of a ratio: {ratio}")


def python_with_torch():
    """A python that has PyTorch already; nothing is installed."""
    for folder in (os.environ.get("TENON_VENV"), ROOT / "build" / "venv", None):
        python = pathlib.Path(folder) / "bin" / "python" if folder else pathlib.Path(sys.executable)
        has = "import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ('torch', 'transformers', 'safetensors'))))"
        if python.exists() and subprocess.run([python, "-c", has]).returncode == 0:
            return python
    return None


def small_works(tenon):
    """Runs in a python that has PyTorch."""
    import bench
    import bench_cases as cases
    from bench_cases import Case

    lengths, model = [5, 17, 3], ROOT / "tests" / "data" / "bert_gelu"
    small = {
        "bert": Case("bert", "bert", cases.write_bert, lengths, model="bert-base"),
        "gru": Case("gru", "gru", cases.write_gru, lengths, True),
        "epoch": Case("epoch", "epoch", cases.write_epoch, lengths, True, "minilm"),
        "layer_norm": Case("layer norm", "layer_norm", cases.LAYER_NORM, lengths, True),
        "attention": Case("attention", "attention", cases.ATTENTION, lengths, True),
        "adamw": Case("AdamW", "adamw", cases.write_adamw),
    }
    cases.CASES.clear()
    cases.CASES.update(small)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "against.json"
        common = ["--tenon", tenon, "--model", str(model), "--rounds", "2", "--threads", "1", "--json", str(file)]
        sys.argv = ["bench.py", *small, "--sides", "sdpa,unpadded,padded,eager,fused", *common]
        bench.main()
        results = {result["case"]: result for result in json.loads(file.read_text())["results"]}
        expect(set(results) == set(small), f"every work has figures: {list(results)}")
        for result in results.values():
            expect(result["verified"]["worst_error"]["tenon"] < 1e-4, f"{result['case']} agrees")

        wrong = subprocess.run([tenon, "bench", "--against", "pytorch", "no_such_work"], text=True, stderr=subprocess.PIPE)
        expect(wrong.returncode == 2 and "no_such_work" in wrong.stderr and len(wrong.stderr.splitlines()) == 1, "an unknown work")

        # The same names, but Tenon's side reads another file.
        command = Case.command

        def other_input(self, side, options, path, dtype=None):
            if side == "tenon":
                self.write(Case("", self.work, self.write, [5, 16, 3], True), options, path.with_name("other"))
                path = path.with_name("other")
            return command(self, side, options, path, dtype)

        Case.command = other_input
        sys.argv = ["bench.py", "gru", "--sides", "padded", *common]
        try:
            bench.main()
            sys.exit("against: other inputs are refused")
        except SystemExit as end:
            expect("have no figures" in str(end), f"other inputs are refused: {end}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pytorch", action="store_true", help="compare the works with PyTorch")
    parser.add_argument("--inside", action="store_true", help="this python has PyTorch")
    parser.add_argument("--tenon", help="the program")
    options = parser.parse_args()
    if not options.pytorch:
        unequal_work_is_refused()
        one_runs_at_a_time()
    elif options.inside:
        small_works(options.tenon)
    elif python := python_with_torch():
        return subprocess.run([python, __file__, "--pytorch", "--inside", "--tenon", options.tenon]).returncode
    else:
        print("SKIPPED: against_pytorch: PyTorch is not installed; tools/baseline/venv.sh installs it")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
