"""The parts of docs/benchmarks.md about single kernels: files of `tenon bench --json` and of tools/gpu-check, and ptxas.json."""

import svg

COLUMNS = ["operation", "case", "variant", "median ms", "10 % - 90 %", "GFLOP/s", "of product", "GB/s", "of copy", "times", "caches"]


def facts(report, result):
    """What a report says of the machine; newer ones say of the device in an object of its own."""
    device = report.get("device")
    return {**report, **(device if isinstance(device, dict) else {}), "device": result["device"]}


def percent(share):
    return "" if share is None else f"{100 * share:.0f} %"


def rows(result):
    for variant in result["variants"]:
        name = variant["variant"] + (" *" if variant["default"] else "")
        head = [result["op"], result["case"], name]
        if not variant["verified"]:
            yield [*head, f"no figure: {variant['why_not']}", *[""] * 6, result["caches"]]
            continue
        over = variant.get("time_over_default")
        yield [
            *head,
            f"{variant['median_ms']:.4f}",
            f"{variant['p10_ms']:.4f}-{variant['p90_ms']:.4f}",
            f"{variant['gflops']:.1f}",
            percent(variant.get("share_of_product")),
            f"{variant['gigabytes_per_second']:.1f}",
            percent(variant.get("share_of_copy")),
            "" if over is None else f"{over:.2f}",
            result["caches"],
        ]


def roofs(entries):
    """Bytes and flops per second of a measured copy and product, the largest there are; None where none was measured."""
    copies = [facts(report, result).get("copy_gigabytes_per_second") for report, result in entries]
    products = [result.get("product_gflops") for _, result in entries]
    copy, product = (max((value for value in values if value), default=None) for values in (copies, products))
    return (1e9 * copy, 1e9 * product) if copy and product else None


def roofline_of(entries, roof):
    points = []
    for _, result in entries:
        by_default = next((v for v in result["variants"] if v["default"] and v["verified"]), None)
        if by_default and result["bytes"] and result["flops"]:
            points.append((result["op"], result["flops"] / result["bytes"], 1e9 * by_default["gflops"]))
    return svg.roofline(points, *roof) if points else None


def bench(reports, machine_of):
    groups = {}
    for report in reports:
        for result in report["results"]:
            groups.setdefault((machine_of(facts(report, result)), result["dtype"]), []).append((report, result))
    lines, images = [], {}
    if groups:
        lines.append("\n## Kernels\n\nFrom `tenon bench`: every variant on the model's own shapes, verified before, meanwhile and after; a star")
        lines.append("marks what a run chooses, and \"times\" is a variant's time over that one's. Shares are of a measured product and copy.")
    for (machine, dtype), entries in sorted(groups.items(), key=lambda group: group[0]):
        dates = sorted({report["date"][:10] for report, _ in entries})
        revisions = sorted({report.get("revision", "?") for report, _ in entries})
        lines.append(f"\n### {dtype} on {machine.name}\n\nMeasured on {', '.join(dates)} at revision {', '.join(revisions)}.\n")
        roof = roofs(entries)
        if roof and (plot := roofline_of(entries, roof)):
            image = f"roofline_{machine.slug}_{dtype}.svg"
            images[image] = plot
            lines.append(f"![roofline of the default variants](benchmarks/{image})\n")
            lines.append(f"The roofs: a measured copy of {roof[0] / 1e9:.1f} GB/s and a measured product of {roof[1] / 1e9:.0f} GFLOP/s.\n")
        lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
        lines += ["| " + " | ".join(map(str, row)) + " |" for _, result in entries for row in rows(result)]
    return lines, images


def self_checks(reports, machine_of):
    """`tenon bench --self-check`: a variant against itself, and against itself made slower."""
    lines, images = [], {}
    for report in reports:
        machine = machine_of(facts(report, {"device": report["device"]["name"]}))
        series = {"itself": [], "itself, slowed down": []}
        for one in report["comparisons"]:
            low, high = one["interval"]
            series["itself, slowed down" if one["planted"] else "itself"].append((low, one["ratio"], high))
        planted = max(one["planted"] for one in report["comparisons"])
        image = f"self_check_{machine.slug}.svg"
        images[image] = svg.intervals(series, "time over its own", [1, 1 + planted])
        same, slowed = (len(entries) for entries in series.values())
        lines.append(f"\n## Whether `tenon bench` can be trusted: {machine.name}, {report['date'][:10]}\n")
        lines.append(f"`tenon bench --self-check`, {report['op']} {report['case']} in {report['dtype']} at revision {report['revision']}: the 99 %")
        lines.append(f"interval of a variant's time over its own holds 1 in {report['covered']} of {same} comparisons, and a planted slowdown of")
        lines.append(f"{100 * planted:.0f} % is found in {report['found']} of {slowed}.\n\n![intervals](benchmarks/{image})")
    return lines, images


def with_gpu(report):
    """The reports of `tenon bench` in a file of gpu-check; they name the GPU."""
    gpu = {"gpu": report["gpu"], "driver": report["driver"]} if report["device"] == "cuda" else {}
    return [{**one, **gpu} for one in report["bench"]]


def gpu_checks(reports):
    lines = []
    for report in sorted(reports, key=lambda report: report["date"]):
        what = f"{report['gpu']}, driver {report['driver']}" if report["device"] == "cuda" else "a rehearsal without a GPU"
        lines.append(f"\n## tools/gpu-check: {what}, {report['date'][:10]}\n")
        lines += [f"{report['seconds']} s in all.\n", "| step | status | s |", "|---|---|---|"]
        lines += [f"| {step['name']} | {step['status']} | {step['seconds']} |" for step in report["steps"]]
        for run, metrics in report.items():
            epochs = [entry for entry in metrics if "epoch" in entry] if run.startswith("train_") else []
            if epochs:
                rates = [entry["tokens_per_second"] for entry in metrics if "tokens_per_second" in entry]
                lines.append(f"\n`{run}`: {epochs[-1]['seconds']:.2f} s for epoch {epochs[-1]['epoch']}, training loss")
                lines.append(f"{epochs[-1]['train_loss']:.4f}, at best {max(rates):,.0f} tokens/s in a step.")
    return lines


def range_of(values):
    return str(min(values)) if len(set(values)) == 1 else f"{min(values)}-{max(values)}"


def arch_number(arch):
    return int("".join(letter for letter in arch if letter.isdigit()))


def ptxas(result):
    lines = [
        f"\n## What the CUDA kernels take\n\nOf the kernels in each file, compiled by nvcc {result['nvcc']}: the smallest and the largest figure",
        "for sm_80 / sm_90a (all of it is in `benchmarks/ptxas.json`, which `tools/build-cuda` writes). Local memory is where spilled",
        "registers and indexed arrays lie. Shared memory is asked for at the launch and does not show here.\n",
        "| file | kernels | registers | bytes of stack | accesses to local memory |\n|---|---|---|---|---|",
    ]
    files = {}
    for kernel in result["kernels"]:
        files.setdefault(kernel["file"], {}).setdefault(kernel["arch"], []).append(kernel)
    for file, by_arch in files.items():
        cells = [f"`{file}`", max(len(kernels) for kernels in by_arch.values())]
        for key in ("registers", "stack", "local"):
            cells.append(" / ".join(range_of([kernel[key] for kernel in by_arch[arch]]) for arch in sorted(by_arch, key=arch_number)))
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines
