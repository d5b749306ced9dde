"""Gathers finished runs of `tenon train` into docs/benchmarks/imdb_minilm.json, from their metrics and settings; runs of other
reviews or seeds that stand there already are kept.

Example, each run with the seconds that the whole command took: collect_runs.py run-1:191.6 run-2:188.0
"""

import argparse
import json
from datetime import datetime, timezone
from pathlib import Path

import report
from common import ROOT

ARGUMENTS = ["train_limit", "valid_limit", "test_limit", "max_length", "batch_size", "epochs", "lr", "cache_dtype"]


def run(folder, whole_seconds):
    settings = json.loads((folder / "settings.json").read_text())
    parts = json.loads((folder / "data.json").read_text())["parts"]
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [entry for entry in metrics if "epoch" in entry]
    counts = " / ".join(f"{parts[part]['count']:,}" for part in ("train", "valid", "test"))
    return {
        "reviews": f"{counts}, {settings['max_length']}",
        "seed": settings["seed"],
        "date": datetime.fromtimestamp((folder / "metrics.jsonl").stat().st_mtime, timezone.utc).isoformat(timespec="seconds"),
        "settings": {name: settings[name] for name in ARGUMENTS},
        "whole_seconds": whole_seconds,
        "epoch_seconds": round(sum(entry["seconds"] for entry in epochs), 1),
        "epochs": epochs,
        "best_epoch": metrics[-1]["best_epoch"],
        "test_loss": metrics[-1]["test_loss"],
        "test_accuracy": metrics[-1]["test_accuracy"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN:SECONDS")
    parser.add_argument("--note", default="", help="a sentence for the page")
    options = parser.parse_args()
    runs = [run(Path(folder), float(seconds)) for folder, _, seconds in (entry.rpartition(":") for entry in options.runs)]
    known = ROOT / "docs" / "benchmarks" / "imdb_minilm.json"
    measured = {(entry["reviews"], entry["seed"]) for entry in runs}
    if known.exists():
        kept = json.loads(known.read_text())["runs"]
        runs = [entry for entry in kept if (entry["reviews"], entry["seed"]) not in measured] + runs
    report.write(ROOT / "docs" / "benchmarks", "imdb_minilm", {"note": options.note, "runs": runs})


if __name__ == "__main__":
    main()
