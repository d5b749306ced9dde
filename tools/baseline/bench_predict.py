"""Times `tenon predict` from process start to the answer; writes docs/benchmarks/predict.json.

Example: bench_predict.py RUN
"""

import argparse
import statistics
import subprocess
import time
from pathlib import Path

import report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a trained model")
    parser.add_argument("--tenon", help="the program (default: TENON_BIN, else the newest under build/)")
    options = parser.parse_args()
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        command = [report.program(options.tenon), "predict", str(options.run), "--json", "This film is great"]
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    result = {"runs": len(seconds), "median_seconds": statistics.median(seconds), "seconds": seconds}
    report.write(report.ROOT / "docs" / "benchmarks", "predict", result)


if __name__ == "__main__":
    main()
