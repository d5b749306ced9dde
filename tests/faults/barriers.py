#!/usr/bin/env python3
"""Deletes every barrier, warp sync, arrival, wait and fence of the kernels, one at a time: kernels_test must notice.

In a copy of each .cu and of its own headers each such call is put behind a switch; the copy is compiled once, as run.py
compiles a planted fault, and kernels_test runs once for each switch. What it says is kept in results.json, together with
what run.py's patches brought to light (--patches), and docs/faults.md is made from that. A call that can go without
anything to show for it needs a reason in survivors.txt. --missing runs only what has no result yet; --check runs
nothing: it compares the sources, the results and the page."""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import re
import shutil
import subprocess
import sys

import run

FOLDER, ROOT = run.FOLDER, run.ROOT
RESULTS, SURVIVORS, PAGE = FOLDER / "results.json", FOLDER / "survivors.txt", ROOT / "docs" / "faults.md"
CALL = re.compile(r"\b(sync_threads|sync_warp|sync_grid|sync_cluster|commit_copies|wait_copies\s*<[^;{}()]*>"
                  r"|fence_barrier_init)\s*\(|((?:\.|->)(?:wait|arrive|arrive_expect))\s*\(")
SWITCH = "tenon_deleted_call"
PROLOGUE = f"""#include <cstdlib>
namespace {{
const int {SWITCH} = [] {{
  const char* number = std::getenv("TENON_DELETED_CALL");
  return number ? std::atoi(number) : -1;
}}();
}}
"""

Call = collections.namedtuple("Call", "file line begin end key")  # [begin, end) of the file's text


def closing(text, at):
    """Behind the parenthesis that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise RuntimeError("a parenthesis is not closed")


def object_begin(text, at):
    """Where the expression begins whose member is named at `at`."""
    while at > 0:
        character = text[at - 1]
        if character in ")]":
            depth, opening = 0, {")": "(", "]": "["}[character]
            while True:
                at -= 1
                depth += {character: 1, opening: -1}.get(text[at], 0)
                if depth == 0:
                    break
        elif character.isalnum() or character in "_." or text[at - 2:at] in ("->", "::"):
            at -= 1 if character.isalnum() or character in "_." else 2
        else:
            break
    return at


def function_around(text, at):
    """The name of the function, at the margin or inside of a class there, that holds a place."""
    lines = text[:at].splitlines()
    margin = ""
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if re.match(r"(struct|class) ", line) and not margin:
            return re.match(r"(?:struct|class) (?:alignas\(.*?\) )?(\w+)", line).group(1)
        if re.match(margin + r"[\w\[~]", line) and "(" in line and not line.rstrip().endswith(";"):
            if not re.match(margin + r"(if|for|while|switch|return|else|do)\b", line):
                names = re.findall(r"(\w+)\s*\(", " ".join(lines[number:number + 3]))
                return next(name for name in names if name not in ("__launch_bounds__", "alignas", "decltype"))
        if line.startswith("}"):
            break
    return "?"


def calls_in(file):
    text = (ROOT / file).read_text()
    seen = collections.Counter()
    for match in CALL.finditer(text):
        line_begin = text.rfind("\n", 0, match.start()) + 1
        if "//" in text[line_begin:match.start()]:
            continue
        begin = match.start() if match.group(1) else object_begin(text, match.start())
        end = closing(text, match.end() - 1)
        if match.group(1):
            name = re.sub(r"\s|<.*", "", match.group(1))
        else:
            name = re.search(r"\w+(\[.*\]|\(.*\))?$", re.sub(r"\s", "", text[begin:match.start()])).group() + match.group(2)
        function = function_around(text, match.start())
        seen[function, name] += 1
        key = f"{file}: {name} {seen[function, name]} of {function}"
        yield Call(file, text.count("\n", 0, match.start()) + 1, begin, end, key)


def own_headers(source):
    """The headers that a source includes, whatever through, and in which kernels do more than call a primitive."""
    found, open_files = [], [source]
    while open_files:
        text = (ROOT / open_files.pop()).read_text()
        for name in re.findall(r'^#include "(kernels/(?!simt/(?!block_reduce)|base/|cpu/)[^"]+)"', text, re.M):
            header = pathlib.Path(name)
            if header not in found and (ROOT / header).exists():
                found.append(header)
                open_files.append(header)
    return found


def sources():
    return [path.relative_to(ROOT) for path in sorted(ROOT.glob("kernels/*/*.cu"))
            if not path.stem.endswith("_vendor") and path.parent.name not in ("simt", "base")]


def calls_of(source):
    return [call for file in [source] + sorted(own_headers(source)) for call in calls_in(file)]


def operations_of(source):
    """The operations that the source registers variants of."""
    names = {}
    for header in sorted(ROOT.glob("kernels/*/*.h")):
        for struct, name in re.findall(r'^struct (\w+)[^;]*?\{.*?string_view name = "(\w+)"', header.read_text(),
                                       re.M | re.S):
            names[struct] = name
    text = "".join((ROOT / file).read_text() for file in [source] + own_headers(source))
    found = [names[struct] for struct in re.findall(r"\bRegister<(\w+)>", text) if struct in names]
    if not found:
        raise RuntimeError(f"{source} registers no operation that is known")
    return ",".join(sorted(set(found)))


def switched(source, calls, arguments):
    """A shared object of the source in which each call can be switched off."""
    folder = arguments.build / "faults" / "barriers" / source.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    for file in {source} | {call.file for call in calls}:
        text = (ROOT / file).read_text()
        for number, call in reversed(list(enumerate(calls))):
            if call.file == file:
                original = text[call.begin:call.end]
                text = (text[:call.begin] + f"({SWITCH} == {number} ? static_cast<void>(0) : static_cast<void>({original}))" +
                        text[call.end:])
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return run.link(folder, source, arguments, PROLOGUE), folder


def shortened(message):
    """Of what kernels_test said: neither who nor where, which depend on the case."""
    text = re.sub(r"^simt: (thread \([^)]*\) of block \([^)]*\) )?", "", message.split("; the kernel was launched")[0])
    text = re.sub(r" at /\S+(?: \S+)?:\d+(?= (?:at|of|for|while) )", "", text)  # Catch may have broken the path
    text = re.split(r",? at \S*(?:/|\.cu)| \(bound ", text)[0]
    text = re.sub(r",? at offset \d+", "", text)
    text = re.sub(r"(\d\.) (\d)", r"\1\2", text)  # where Catch broke a line
    text = re.sub(r"\d+\.\d+(e[+-]\d+)?", lambda number: f"{float(number.group()):.6g}", text)
    text = re.sub(r"deadlock in block.*", "deadlock", text)
    return text[:100].strip(" ,")


def outcome(result):
    if result.returncode == 0:
        return ""
    if result.returncode < 0:
        return f"kernels_test ended by signal {-result.returncode}"
    return shortened(run.first_failure(result.stdout) or result.stdout[-300:])


def try_source(source, arguments):
    """What showed that a call was missing, by its key; '' where nothing did."""
    calls = calls_of(source)
    if not calls:
        return {}
    operations = operations_of(source)
    library, folder = switched(source, calls, arguments)

    def outcome_without(number):
        try:
            return outcome(run.run_test(library, operations, "simt", arguments, TENON_DELETED_CALL=str(number),
                                        TENON_TEST_FILE=f"{folder}/"))
        except subprocess.TimeoutExpired:
            return "kernels_test did not end"

    if wrong := outcome_without(-1):
        raise RuntimeError(f"{source} fails with all of its calls: {wrong}")
    found = {}
    for number, call in enumerate(calls):
        found[call.key] = outcome_without(number)
        print(f"{call.file}:{call.line}: {call.key.split(': ')[1]}: {found[call.key] or 'SURVIVED'}", flush=True)
    return found


def survivors():
    """Reasons by key."""
    lines = [line for line in SURVIVORS.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split(" -- ", 1) for line in lines)


def all_keys():
    return {call.key for source in sources() for call in calls_of(source)}


def table(*rows):
    head, *body = [" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join([f"| {head} |", "|" + "---|" * len(rows[0])] + [f"| {row} |" for row in body]) + "\n"


def page(results):
    reasons = survivors()
    calls = results["calls"]
    caught = sum(1 for reason in calls.values() if reason)
    patches = [("fault", "found in", "by")]
    for name in sorted(results["patches"]):
        what, _, changed, _ = run.parse(FOLDER / f"{name}.patch")
        variant, reason = results["patches"][name].split(": ", 1)
        patches.append((what, variant, reason))
    text = f"""# Planted faults

<!-- Made by tests/faults/barriers.py --page from tests/faults/results.json; do not edit. -->

What `kernels_test` says on the simt device of kernels that are wrong in one way. ctest's `planted_faults` plants the patches anew
each time; the deleted calls take longer and are run by hand ([how](simt.md)).

## {len(results["patches"])} patches

{table(*patches)}
## {len(calls)} barriers, warp syncs, arrivals, waits and fences, each deleted

{caught} of them are missed, {len(calls) - caught} are not and stand at the end.

"""
    by_file = collections.defaultdict(list)
    for key in sorted(key for key in calls if calls[key]):
        file, place = key.split(": ", 1)
        call, function = place.split(" of ")
        by_file[file].append((f"`{function}`", call, calls[key]))
    for file, rows in sorted(by_file.items()):
        text += f"`{file}`\n\n" + table(("in", "without", "kernels_test says"), *rows) + "\n"
    text += "## Calls that nothing misses\n\n"
    rows = [(f"`{key}`", reasons.get(key, "**no reason**")) for key in sorted(calls) if not calls[key]]
    text += table(("call", "why it stands"), *rows) if rows else "None.\n"
    if waiting := sorted({patch.stem for patch in FOLDER.glob("*.patch")} - results["patches"].keys()):
        text += "\n## Patches whose finding is not written down yet\n\n" + "".join(f"- `{name}`\n" for name in waiting)
    if waiting := sorted(all_keys() - calls.keys()):
        text += "\n## Calls that nobody has deleted yet\n\n" + "".join(f"- `{key}`\n" for key in waiting)
    return text


def problems(results):
    keys, reasons, calls = all_keys(), survivors(), results["calls"]
    patches = {patch.stem for patch in FOLDER.glob("*.patch")}
    for key in sorted(calls.keys() - keys):
        yield f"{key}: is in results.json, but not in the sources"
    for key in sorted(key for key in calls if not calls[key] and key not in reasons):
        yield f"{key}: survived, and survivors.txt has no reason"
    for key in sorted(reasons.keys() - {key for key in calls if not calls[key]}):
        yield f"{key}: has a reason in survivors.txt, but did not survive"
    for name in sorted(results["patches"].keys() - patches):
        yield f"{name}.patch: is in results.json, but not in the folder"
    if not PAGE.exists() or PAGE.read_text() != page(results):
        yield f"{PAGE.relative_to(ROOT)} is not what results.json says; make it with --page"


def update(results, arguments):
    """Runs what is asked for; what went wrong with a patch."""
    calls, known_patches = results["calls"], results["patches"]
    chosen = arguments.sources or sources()
    patches = sorted(FOLDER.glob("*.patch")) if arguments.patches or arguments.missing else []
    if arguments.missing:
        chosen = [source for source in chosen if any(call.key not in calls for call in calls_of(source))]
        patches = [patch for patch in patches if patch.stem not in known_patches]
    part = bool(arguments.sources) or arguments.missing
    found, failed = collections.defaultdict(list), []  # a header's call in each source that includes it
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for job in [pool.submit(try_source, source, arguments) for source in chosen]:
            for key, reason in job.result().items():
                found[key].append(reason)
        for patch, (wrong, reason) in zip(patches, pool.map(lambda patch: run.check_fault(patch, arguments), patches)):
            print(wrong or f"{patch.stem}: {reason}", flush=True)
            if wrong:
                failed.append(wrong)
            else:
                variant, _, why = reason.partition(": ")
                known_patches[patch.stem] = f"{variant}: {shortened(why)}"
    for key, reasons in found.items():
        calls[key] = next(filter(None, reasons), calls.get(key, "") if part else "")
    keys, names = all_keys(), {patch.stem for patch in FOLDER.glob("*.patch")}
    results["calls"] = {key: reason for key, reason in calls.items() if key in keys}
    results["patches"] = {name: reason for name, reason in known_patches.items() if name in names}
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, what in (("build", "build folder"), ("libtenon", "libtenon.so"), ("test", "kernels_test")):
        parser.add_argument(f"--{name}", type=lambda path: pathlib.Path(path).resolve(), help=what)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="only compare sources, results and page")
    parser.add_argument("--page", action="store_true", help="only make the page")
    parser.add_argument("--missing", action="store_true", help="only run what has no result yet, patches included")
    parser.add_argument("--patches", action="store_true", help="run the patches, too")
    parser.add_argument("sources", nargs="*", type=pathlib.Path, help="kernels/*/*.cu; all if none are given")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"patches": {}, "calls": {}}
    failed = []
    if not arguments.check and not arguments.page:
        failed = update(results, arguments)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    if not arguments.check:
        PAGE.write_text(page(results))
    failed += problems(results)
    print("\n".join(failed) or f"{len(results['calls'])} calls and {len(results['patches'])} patches agree with the page")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
