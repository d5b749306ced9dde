#!/usr/bin/env python3
"""From a save to a verified figure: `tenon bench --watch FILE` is started on a variant outside the tree, which is then
saved once with a mistake in it. It must build both, show figures of the first, and say what is wrong with the second.

The folder that it builds in has a CMakeLists.txt of its own, which compiles the one file as the tested build compiles its
neighbours, and a program `tenon` that loads the result in front of the tested one."""
import argparse
import json
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds; a compiler on a busy machine

CMAKE = """cmake_minimum_required(VERSION 3.22)
project(watched NONE)
add_custom_command(OUTPUT libwatched.so COMMAND sh ${CMAKE_SOURCE_DIR}/compile.sh DEPENDS @FILE@)
add_custom_target(tenon DEPENDS libwatched.so)
"""


def page_example():
    """The kernel for the CPU that docs/adding-a-kernel.md shows."""
    text = (ROOT / "docs" / "adding-a-kernel.md").read_text()
    return text.split("```cpp\n")[1].split("```")[0].replace('"rows"', '"watched"')


def compile_command(build, source, library):
    """As the build compiles kernels/gelu/vectorised.cpp."""
    neighbour = str(ROOT / "kernels" / "gelu" / "vectorised.cpp")
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if entry["file"] == neighbour:
            words = [word for word in shlex.split(entry["command"]) if word not in ("-c", neighbour) and "ccache" not in word]
            at = words.index("-o")
            del words[at:at + 2]
            return shlex.join([*words, "-shared", str(source), "-o", str(library), f"-L{build}", "-ltenon",
                               f"-Wl,-rpath,{build}"])
    sys.exit(f"bench_watch: {neighbour} is not among the compile commands of {build}")


def stage_build(stage, build, tenon, source):
    shutil.rmtree(stage, ignore_errors=True)
    (stage / "outside" / "gelu").mkdir(parents=True)
    (stage / "build").mkdir()
    library = stage / "build" / "libwatched.so"
    (stage / "CMakeLists.txt").write_text(CMAKE.replace("@FILE@", str(source)))
    (stage / "compile.sh").write_text(compile_command(build, source, library) + "\n")
    program = stage / "build" / "tenon"
    program.write_text(f'#!/bin/sh\nLD_PRELOAD={library} exec {tenon} "$@"\n')
    program.chmod(0o755)
    subprocess.run(["cmake", "-S", stage, "-B", stage / "build"], check=True, stdout=subprocess.DEVNULL)


class Output:
    """What a process has printed so far, read by a thread."""

    def __init__(self, process):
        self.text = ""
        self.thread = threading.Thread(target=self.read, args=(process,), daemon=True)
        self.thread.start()

    def read(self, process):
        for line in process.stdout:
            self.text += line

    def wait_for(self, words, count):
        deadline = time.monotonic() + PATIENCE
        while self.text.count(words) < count:
            if time.monotonic() > deadline or not self.thread.is_alive():
                sys.exit(f"bench_watch: '{words}' was expected {count} times:\n{self.text}")
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=lambda path: pathlib.Path(path).resolve(), required=True)
    parser.add_argument("--tenon", type=lambda path: pathlib.Path(path).resolve(), required=True)
    arguments = parser.parse_args()
    stage = arguments.build / "bench_watch"
    source = stage / "outside" / "gelu" / "watched.cpp"
    stage_build(stage, arguments.build, arguments.tenon, source)
    right = page_example()
    source.write_text(right)
    process = subprocess.Popen([arguments.tenon, "bench", "gelu", "--shape", "64x100", "--watch", source, "--build",
                                stage / "build", "--slow"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = Output(process)
        output.wait_for("to be saved", 1)
        first = output.text
        source.write_text(right.replace("0.5f * x", "0.6f * x"))  # the save
        output.wait_for("to be saved", 2)
        second = output.text[len(first):]
    finally:
        process.send_signal(signal.SIGINT)
    lines = {which: [line for line in text.splitlines() if line.strip().startswith("watched ")]
             for which, text in (("first", first), ("second", second))}
    if len(lines["first"]) != 1 or "no figure" in lines["first"][0]:
        sys.exit(f"bench_watch: one line of figures was expected before the save:\n{first}")
    if len(lines["second"]) != 1 or "no figure: y[" not in lines["second"][0]:
        sys.exit(f"bench_watch: what is wrong was expected after the save:\n{second}")
    if process.wait(timeout=PATIENCE) != 0:
        sys.exit(f"bench_watch: an interrupted watch ends with 0, not {process.returncode}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
