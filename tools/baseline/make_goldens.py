"""Writes the small files of tests/data/ that Tenon is compared with: everything PyTorch computes, in fp32 and in fp64.

The seeds are fixed; running it again on the same versions changes no byte. tests/data/README.md names every tensor.
Usage: python tools/baseline/make_goldens.py [--out tests/data]
"""

import argparse
from pathlib import Path

import torch

import golden_bert
import golden_compare
import golden_operations
import golden_pickles
import golden_training
from common import ROOT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "tests" / "data", help="folder to write (default: tests/data)"
    )
    out = parser.parse_args().out
    torch.set_num_threads(1)  # one order of every sum
    for module in (golden_bert, golden_compare, golden_operations, golden_pickles, golden_training):
        module.write(out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
