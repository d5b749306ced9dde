"""The part of docs/benchmarks.md about PyTorch and its peers, from the files that bench.py --json writes."""

import svg

HEAD = """
## Against PyTorch and its peers

`tenon bench --against pytorch` measures these: processes that do the same work in turns, all but the one at work stopped. They
must have read the same inputs (by hash) with the same number of tokens, in the same type, on the same device and with as many
threads, and give the same results in the first round, in the last and in one between; otherwise there is no figure. Each works on the same buffers in all rounds. "Times"
is a side's median over Tenon's with its 95 % interval (bootstrap over the rounds); "computed" is what a side computes with its padding
over the tokens that there are, "peak MB" the largest resident set of its process. Weights are random, and reviews are ids of random words with the lengths of random IMDB reviews, cut at 512 tokens (256 in the epoch).

In fp32 a result may differ from PyTorch's by 1e-4 of the largest; in tf32 and bf16 the reference is PyTorch in fp32, and a result
may have three times the error that PyTorch has in that type. TF32 is set alike for products and for cuDNN."""
COLUMNS = ["work", "side", "median ms", "10 % - 90 %", "runs", "rate", "peak MB", "computed", "times", "error", "date"]
SIDES = {"tenon": "Tenon", "compile": "torch.compile", "plain": "nn.GRU", "tokenizers": "HuggingFace tokenizers"}
UNITS = {"flops": ("GFLOP/s", 1e9), "bytes": ("MB/s", 1e6), "elements": ("M elements/s", 1e6)}


def name_of(side):
    return SIDES.get(side, side)


def peers(result):
    return {name: side for name, side in result["sides"].items() if name != "tenon"}


def rows(result):
    unit, scale = UNITS[result["unit"]]
    best = min(peers(result), key=lambda name: result["sides"][name]["median_seconds"])
    for name, side in result["sides"].items():
        over = side["time_over_tenon"]
        times = f"{over['ratio']:.2f} ({over['low']:.2f}-{over['high']:.2f})" if name != "tenon" else "1"
        error = result["verified"]["worst_error"].get(name)
        yield [
            result["title"],
            f"**{name_of(name)}**" if name == best else name_of(name),
            f"{1e3 * side['median_seconds']:.2f}",
            f"{1e3 * side['p10_seconds']:.2f}-{1e3 * side['p90_seconds']:.2f}",
            side["runs"],
            f"{side['rate'] / scale:.0f} {unit}",
            side["peak_memory_mb"],
            f"{side['computed_tokens'] / side['tokens']:.2f}" if side.get("computed_tokens") else "",
            times,
            "" if error is None else f"{error:.0e}",
            result["date"][:10],
        ]


def flags(results):
    """Every setting of every side, once."""
    found = {}
    for result in results:
        for name, side in result["sides"].items():
            for key, value in side.get("settings", {}).items():
                if key != "kernels":
                    found.setdefault(name, {}).setdefault(key, set()).add(str(value))
    for name, settings in found.items():
        yield f"{name_of(name)}: " + ", ".join(f"{key} {' / '.join(sorted(values))}" for key, values in settings.items())


def kernels(results):
    chosen = {}
    for result in results:
        for key, variant in result["sides"]["tenon"].get("settings", {}).get("kernels", {}).items():
            chosen.setdefault(key.partition(".")[0], set()).update(variant.split(","))
    return ", ".join(f"{operation} {'/'.join(sorted(variants))}" for operation, variants in sorted(chosen.items()))


def section(reports, machine_of):
    groups = {}
    for result in (result for report in reports for result in report["results"]):
        groups.setdefault((machine_of(result), result["device"], result["dtype"]), []).append(result)
    lines, images = [HEAD], {}
    for (machine, device, dtype), results in sorted(groups.items()):
        image = f"against_{machine.slug}_{device}_{dtype}.svg"
        over = {r["title"]: {name_of(n): interval(side) for n, side in peers(r).items()} for r in results}
        images[image] = svg.dots(over, "time over Tenon's (logarithmic; right of 1: Tenon is faster)")
        lines += [f"\n### {dtype} on {machine.name}\n", f"![times over Tenon's](benchmarks/{image})\n"]
        lines += ["The best peer is printed in bold.\n", "| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        lines += ["| " + " | ".join(map(str, row)) + " |" for result in results for row in rows(result)]
        for result in results:
            for side, reason in result.get("left_out", {}).items():
                lines.append(f"\n{result['title']}: {name_of(side)} is left out: {reason}")
        lines += [f"\n- {line}" if index == 0 else f"- {line}" for index, line in enumerate(flags(results))]
        if found := kernels(results):
            lines.append(f"- Tenon's kernels: {found}")
    return lines, images


def interval(side):
    over = side["time_over_tenon"]
    return over["low"], over["ratio"], over["high"]


def waiting(reports):
    """Titles of what has been measured on a processor and not on a GPU."""
    by_device = {}
    for result in (result for report in reports for result in report["results"]):
        by_device.setdefault(result["device"], {})[result["title"]] = True
    return [title for title in by_device.get("cpu", {}) if title not in by_device.get("cuda", {})]
