#!/usr/bin/env python3
"""Plants faults and expects kernels_test to find each.

A .patch in this folder opens with what is wrong and with "Fails: OPERATION/DEVICE/VARIANT"; it changes one source
file, or a header, and then says with "In: FILE" which source is to be compiled against it. The file is patched in a
copy, compiled as the build compiles it but for less optimisation, and loaded in front of the library, where the source
registers its variants a second time. kernels_test, limited to the operation and the device, must then fail for that
variant. The unchanged file of the first patch goes the same way before, and must pass."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
SKIPPED = 77


def run(command, **options):
    return subprocess.run([str(word) for word in command], text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, **options)


def must(command, **options):
    result = run(command, **options)
    if result.returncode != 0:
        raise RuntimeError(f"{shlex.join(str(word) for word in command)}\n{result.stdout}")


def compile_command(build, source):
    """The build's command for a source file (a .cu: for its emulated twin), up to what is compiled."""
    built = build / "simt" / f"{source}.cpp" if source.suffix == ".cu" else ROOT / source
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"] == str(built):
            words = shlex.split(entry["command"])
            words = words[:words.index("-o")]
            return entry["directory"], words
    raise RuntimeError(f"the build does not compile {source}")


def plant(name, changed, source, patch, arguments):
    """A shared object of the source, in which one file is changed; patch None: nothing is."""
    folder = arguments.build / "faults" / name
    shutil.rmtree(folder, ignore_errors=True)
    for file in {changed, source}:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    if patch:
        must(["patch", "-p1", "-s", "-d", folder, "-i", patch])
    return link(folder, source, arguments)


def link(folder, source, arguments, prologue=""):
    """A shared object of the source, which stands in the folder with whatever is changed around it."""
    unit = folder / "unit.cpp"
    unit.write_text(f'{prologue}#include "{folder / source}"\n')
    directory, command = compile_command(arguments.build, source)
    must(command + ["-w", "-O1", "-iquote", folder, "-o", folder / "fault.o", "-c", unit], cwd=directory)
    compiler = next(word for word in command if "ccache" not in word)
    script = folder / "symbols"  # what kernels share through headers stays inside, or it would stand in for the library's
    script.write_text("{ global: *; local: *simt_build*; };\n")
    must([compiler, "-shared", "-Wl,-Bsymbolic", f"-Wl,--version-script={script}", "-o", folder / "fault.so",
          folder / "fault.o", arguments.libtenon])
    return folder / "fault.so"


def run_test(fault, operations, device, arguments, **environment):
    """kernels_test up to its first failure."""
    return run([arguments.test, "--abort"], env={**os.environ, "LD_PRELOAD": str(fault), "TENON_TEST_OPS": operations,
                                                 "TENON_TEST_DEVICE": device, **environment})


def first_failure(output, variant=r"\S+"):
    """What kernels_test says of the variant, or None."""
    seen = re.search(rf'^.*FAILED:\n\s*CHECK\(.*\)\nwith expansion:\n(.*?)\nwith messages?:\n\s*{variant}.*$',
                     output, re.M | re.S)
    return " ".join(seen.group(1).split()).removesuffix('== ""').strip('" ') if seen else None


def parse(patch):
    """What is wrong, the variant that fails, the changed file and the source that is compiled."""
    text = patch.read_text()
    changed = pathlib.Path(re.search(r"^\+\+\+ b/(\S+)$", text, re.M).group(1))
    source = re.search(r"^In: (\S+)$", text, re.M)
    return (text.splitlines()[0], re.search("^Fails: (.+)$", text, re.M).group(1), changed,
            pathlib.Path(source.group(1)) if source else changed)


def check_fault(patch, arguments):
    """What went wrong, or None, and how the fault showed."""
    what, variant, changed, source = parse(patch)
    operation, device, _ = variant.split("/")
    result = run_test(plant(patch.stem, changed, source, patch, arguments), operation, device, arguments,
                      TENON_TEST_FILE=f"faults/{patch.stem}/")
    reason = first_failure(result.stdout, variant)
    if result.returncode == 0 or not reason:
        return f"{patch.name} was not found: {what}\n{result.stdout[-2000:]}", None
    return None, f"{variant}: {reason}"


def check_control(patch, arguments):
    _, variant, changed, source = parse(patch)
    operation, device, _ = variant.split("/")
    result = run_test(plant("no_fault", changed, source, None, arguments), operation, device, arguments,
                      TENON_TEST_FILE="faults/no_fault/")
    return f"{source} fails without a fault\n{result.stdout[-2000:]}" if result.returncode else None, None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (("build", "build folder"), ("libtenon", "libtenon.so"), ("test", "kernels_test")):
        parser.add_argument(f"--{name}", type=lambda path: pathlib.Path(path).resolve(), required=True, help=what)
    parser.add_argument("patches", nargs="*", help="names of patches without .patch; all if none are given")
    arguments = parser.parse_args()
    if not shutil.which("patch"):
        print("SKIPPED: planted_faults: the program 'patch' is not installed")
        return SKIPPED
    patches = sorted(FOLDER.glob("*.patch"))
    if arguments.patches:
        patches = [FOLDER / f"{name}.patch" for name in arguments.patches]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(min(4, os.cpu_count())) as pool:
        jobs = {pool.submit(check_control, patches[0], arguments): "no fault"}
        jobs.update((pool.submit(check_fault, patch, arguments), patch.stem) for patch in patches)
        for job, name in jobs.items():
            try:
                wrong, reason = job.result()
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                wrong, reason = f"{name}: {error}", None
            failed += wrong is not None
            if wrong or reason:
                print(wrong or f"{name:24} {reason[:140]}", flush=True)
    print(f"{len(patches)} faults planted, {failed} problems")
    return 1 if failed or not patches else 0


if __name__ == "__main__":
    sys.exit(main())
