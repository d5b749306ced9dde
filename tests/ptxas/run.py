#!/usr/bin/env python3
"""Holds the kernels of a build to the rules of tools/ptxas, after the rules have been seen to find planted.cu's faults."""
import argparse
import importlib.machinery
import importlib.util
import json
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
loader = importlib.machinery.SourceFileLoader("ptxas", str(FOLDER.parent.parent / "tools" / "ptxas"))
ptxas = importlib.util.module_from_spec(importlib.util.spec_from_loader("ptxas", loader))
loader.exec_module(ptxas)
BROKEN = {"adds_in_global_memory", "adds_doubles", "adds_in_shared_memory", "spills"}


def skip(reason):
    print(f"SKIPPED: ptxas: {reason}")
    sys.exit(77)


def planted(compiler, build):
    """The kernels of planted.cu that are found to break a rule."""
    source, target = FOLDER / "planted.cu", build / "ptxas_planted.o"
    subprocess.run([compiler, "-arch=sm_90a", "-O3", "-c", source, "-o", target], check=True)
    kernels = ptxas.kernels_of("planted.cu", target)
    names = ptxas.demangle([kernel["kernel"] for kernel in kernels])
    variant = {"device": "cuda", "default": True, "deterministic": True, "file": "planted.cu"}
    lines = "\n".join(ptxas.violations([{**kernel, "kernel": names[kernel["kernel"]]} for kernel in kernels], [variant]))
    return set(re.findall(r"planted\.cu: (\w+) on", lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (("build", "build folder"), ("tenon", "the program"), ("venv", "for cuobjdump")):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True, help=what)
    arguments = parser.parse_args()
    compiler = re.search(r"^CMAKE_CUDA_COMPILER:\w+=(/.+)$", (arguments.build / "CMakeCache.txt").read_text(), re.M)
    if not compiler or not list(ptxas.objects(arguments.build)):
        skip("this build has no cuda device")
    if not ptxas.find_cuobjdump(arguments.venv):
        skip("there is no cuobjdump, and pip cannot install it")
    found = planted(compiler.group(1), arguments.build)
    if found != BROKEN:
        sys.exit(f"of planted.cu's kernels {sorted(BROKEN)} break a rule, but {sorted(found)} were found")
    kernels = ptxas.collect(arguments.build)
    variants = json.loads(subprocess.run([arguments.tenon, "kernels", "--json"], check=True, stdout=subprocess.PIPE).stdout)
    wrong = list(ptxas.violations(kernels, variants))
    print(f"{len(kernels)} kernels, {len(wrong)} break a rule", *wrong, sep="\n")
    sys.exit(1 if wrong or not kernels else 0)


if __name__ == "__main__":
    main()
