#!/usr/bin/env python3
"""A new kernel is one new file and no edit: the two files that docs/adding-a-kernel.md shows, in a copy of the tree and
in a folder outside of it, are expected to be built, tested, listed and chosen.

The copy is configured without them; then they are put there, and its own build must find and compile them. The rest of
the copy is the tree, so its library is linked by the copy's own command from these and the objects of the build that is
tested, and loaded in front of that build's library."""
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

ROOT = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = 77
SETTINGS = ("CMAKE_CXX_COMPILER", "CMAKE_BUILD_TYPE", "CMAKE_CXX_FLAGS", "TENON_NATIVE", "TENON_SIMT_HOOKS")


def run(*command, **options):
    result = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=300, **options)
    if result.returncode:
        sys.exit(f"{shlex.join(str(word) for word in command)[:300]}\n{result.stdout[-3000:]}")
    return result.stdout


def expect(holds, what):
    if not holds:
        sys.exit(f"adding_a_kernel: {what}")


def page_examples():
    """The sources that the page shows, for the CPU and for GPUs."""
    blocks = re.findall(r"```cpp\n(.*?)```", (ROOT / "docs" / "adding-a-kernel.md").read_text(), re.S)
    expect(len(blocks) == 2 and "kernels/simt/simt.h" in blocks[1], "the page shows one file for each device")
    return blocks


def settings(build):
    """What the build was configured with."""
    entries = re.findall(r"^(\w+):\w+=(.*)$", (build / "CMakeCache.txt").read_text(), re.M)
    return {name: value for name, value in entries if name in SETTINGS or name == "CMAKE_GENERATOR"}


def configure_copy(stage, known):
    tree = stage / "tree"
    for name in ("cmake", "kernels", "engine", "models", "tools"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "baseline"))
    shutil.copy(ROOT / "CMakeLists.txt", tree)
    flags = [f"-D{name}={known[name]}" for name in SETTINGS if name in known]
    run("cmake", "-S", tree, "-B", tree / "build", "-G", "Ninja", "-DTENON_CUDA=OFF", "-DTENON_TESTS=OFF",
        f"-DTENON_KERNELS_DIR={stage / 'outside'}", *flags)
    return tree


def place_examples(stage, tree):
    """The page's files in the tree; outside of it the same under another name, and before all others by priority."""
    outside = stage / "outside" / "gelu"
    outside.mkdir(parents=True)
    for source, suffix in zip(page_examples(), (".cpp", ".cu")):
        (tree / "kernels" / "gelu" / f"rows{suffix}").write_text(source)
        other = source.replace('"rows"', '"outside"').replace(".priority = 5", ".priority = 1000")
        expect(other.count('"outside"') == 1 and "1000" in other, "the page's kernel is 'rows', of priority 5")
        (outside / f"mine{suffix}").write_text(other)


def build_library(stage, tree, build):
    """The copy's library. Objects that the copy has not compiled are those of the build."""
    copy = tree / "build"
    here = stage.relative_to("/")
    new = ["CMakeFiles/tenon_kernels.dir/kernels/gelu/rows.cpp.o",
           "CMakeFiles/tenon_simt.dir/simt/kernels/gelu/rows.cu.cpp.o",
           f"CMakeFiles/tenon_kernels.dir/{here}/outside/gelu/mine.cpp.o",
           "CMakeFiles/tenon_simt.dir/simt/outside/gelu/mine.cu.cpp.o"]
    run("ninja", "-C", copy, *new)
    link = run("ninja", "-C", copy, "-t", "commands", "-s", "libtenon.so.0.1.0").splitlines()[-1]
    words = []
    for word in shlex.split(link):
        expect(word not in new or (copy / word).exists(), f"{word} was not built")
        words.append(word if word in new or not word.endswith(".o") else str(build / word))
    expect(set(new) <= set(words), "the library is linked with the new objects")
    run("bash", "-c", shlex.join(words).replace("'&&'", "&&"), cwd=copy)
    return copy / "libtenon.so.0.1.0"


def compile_for_cuda(stage, tree, build):
    """The page's .cu by nvcc, as the build compiles vectors.cu. Does nothing in a build without the cuda device."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"] == str(ROOT / "kernels" / "gelu" / "vectors.cu"):
            words = shlex.split(entry["command"].replace(entry["file"], str(tree / "kernels" / "gelu" / "rows.cu")))
            words[words.index("-o") + 1] = str(stage / "rows.o")
            run(*words, cwd=entry["directory"])


def check_tested(test, environment):
    output = run(test, env={**environment, "TENON_TEST_OPS": "gelu"})
    for device in ("cpu", "simt"):
        for name in ("rows", "outside"):
            ran = re.search(rf"^gelu +{device} {name} f32 +(\d+) cases", output, re.M)
            expect(ran and int(ran.group(1)) > 0, f"kernels_test runs {name} on {device}:\n{output}")


def check_listed(tenon, environment):
    listed = {(v["variant"], v["device"]): v for v in json.loads(run(tenon, "kernels", "gelu", "--json", env=environment))}
    for device, suffix in (("cpu", ".cpp"), ("simt", ".cu")):
        own, outside = listed[("rows", device)], listed[("outside", device)]
        expect(own["file"] == f"kernels/gelu/rows{suffix}" and not own["default"], f"rows is listed: {own}")
        expect(outside["file"].endswith(f"outside/gelu/mine{suffix}") and outside["default"], f"outside is listed: {outside}")
        expect(own["limits"] == ["it has the erf form only"], f"what rows cannot do is listed: {own}")


def check_chosen(tenon, environment, stage):
    """By its priority, and in a training run by its name."""
    case, report = "erf 64x768", stage / "bench.json"
    run(tenon, "bench", "gelu", "--case", case, "--json", report, env=environment)
    default = [v["variant"] for v in json.loads(report.read_text())["results"][0]["variants"] if v["default"]]
    expect(default == ["outside"], f"the highest priority is chosen, not {default}")

    reviews = stage / "reviews.jsonl"
    run(tenon, "generate", "reviews", "--count", 40, "--out", reviews, env=environment)
    run(tenon, "train", "--encoder", ROOT / "tests" / "data" / "bert_gelu", "--data", reviews, "--out", stage / "run",
        "--hidden-size", 8, "--epochs", 1, "--kernel", "gelu=rows", env=environment)
    chosen = json.loads((stage / "run" / "variants.json").read_text())
    expect(chosen.get("gelu.cpu") == "rows", f"a training run uses rows: {chosen}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (("build", "build folder"), ("tenon", "the program"), ("test", "kernels_test")):
        parser.add_argument(f"--{name}", type=lambda path: pathlib.Path(path).resolve(), required=True, help=what)
    arguments = parser.parse_args()
    known = settings(arguments.build)
    if known.get("CMAKE_GENERATOR") != "Ninja" or not shutil.which("ninja"):
        print("SKIPPED: adding_a_kernel: the build is not one of Ninja's")
        return SKIPPED
    stage = arguments.build / "adding_a_kernel"
    shutil.rmtree(stage, ignore_errors=True)
    tree = configure_copy(stage, known)
    place_examples(stage, tree)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        cuda = pool.submit(compile_for_cuda, stage, tree, arguments.build)
        library = build_library(stage, tree, arguments.build)
        cuda.result()
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    check_tested(arguments.test, environment)
    check_listed(arguments.tenon, environment)
    check_chosen(arguments.tenon, environment, stage)
    return 0


if __name__ == "__main__":
    sys.exit(main())
