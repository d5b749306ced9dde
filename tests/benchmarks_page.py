#!/usr/bin/env python3
"""The page of benchmarks from files of every kind, as a machine with a GPU would hand them over: it holds their figures, plots and
rooflines, names machine and date, says what waits for a GPU, and any change of a figure makes it stale."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "tools" / "baseline" / "make_page.py"


def make_page(docs, *options):
    command = [sys.executable, SCRIPT, "--docs", docs, *options]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def expect(holds, what, detail=""):
    if not holds:
        sys.exit(f"benchmarks_page: {what}\n{detail}")


def row_of(page, *cells):
    return any(line.startswith("|") and all(cell in line for cell in cells) for line in page.splitlines())


def holds_all_figures(page):
    expect(row_of(page, "Test GPU", "2001-02-03", "abc1234", "torch 9.9"), "the machine is named with date, revision and versions", page)
    expect(row_of(page, "BERT-base forward, 8 x 128", "Tenon", "1.50", "4e-03"), "Tenon's side of a comparison", page)
    expect(row_of(page, "**torch.compile**", "1.80", "1.20 (1.14-1.26)"), "the best peer is marked", page)
    expect("sdpa_cudnn is left out: no available kernel" in page, "a side that could not run is named", page)
    expect("compile_mode max-autotune" in page and "matmul mma" in page, "the flags and Tenon's kernels are stated", page)
    expect(row_of(page, "gelu", "vectors *", "0.0250", "2000.0", "80 %"), "a variant of tenon bench, with its share of a copy", page)
    expect(row_of(page, "gelu", "plain", "no figure: wrong in 3 places"), "a variant without a figure says why", page)
    expect(row_of(page, "layer_norm", "vectors *", "0.0250"), "the bench inside a file of gpu-check", page)
    expect(row_of(page, "racecheck", "left out: no time"), "a step of gpu-check", page)
    expect("`train_small_bf16`: 1.25 s for epoch 1" in page and "123,456 tokens/s" in page, "the training of gpu-check", page)
    expect("copy of 2500.0 GB/s" in page and "product of 600000 GFLOP/s" in page, "the roofs are stated", page)
    expect("holds 1 in 1 of 2 comparisons" in page and "5 % is found in 2 of 2" in page, "the bench against itself", page)
    expect("Measured on a processor and not on a GPU" in page and page.rstrip().endswith("BiGRU, 32 x 256."), "what waits for a GPU", page)


def main():
    with tempfile.TemporaryDirectory() as folder:
        docs = pathlib.Path(folder)
        files = docs / "benchmarks"
        shutil.copytree(ROOT / "tests" / "data" / "benchmarks", files)
        made = make_page(docs)
        expect(made.returncode == 0, "the page is made", made.stderr)
        page = (docs / "benchmarks.md").read_text()
        holds_all_figures(page)

        plots = sorted(path.name for path in files.glob("*.svg"))
        shown = {name for name in plots if f"(benchmarks/{name})" in page}
        expect("roofline_test_gpu_bf16.svg" in plots and "against_test_gpu_cuda_bf16.svg" in plots, "the plots are made", plots)
        expect(shown == set(plots), "the page shows all plots", plots)
        for name in plots:
            texts = "".join(xml.etree.ElementTree.parse(files / name).getroot().itertext())
            label = {"roofline": "GFLOP/s", "against": "Tenon", "self": "slowed down"}[name.partition("_")[0]]
            expect(label in texts, f"{name} has its labels", texts)

        expect(make_page(docs, "--check").returncode == 0, "a fresh page is up to date")
        plot = files / "roofline_test_gpu_bf16.svg"
        drawn = plot.read_text()
        plot.write_text(drawn.replace("<circle", "<ellipse", 1))
        stale = make_page(docs, "--check")
        expect(stale.returncode == 1 and plot.name in stale.stderr, "a plot that differs is found", stale.stderr)
        plot.write_text(drawn)
        report = json.loads((files / "bench_cuda.json").read_text())
        report["results"][0]["variants"][0]["median_ms"] = 0.026
        (files / "bench_cuda.json").write_text(json.dumps(report))
        stale = make_page(docs, "--check")
        expect(stale.returncode == 1 and "benchmarks.md" in stale.stderr, "a figure that differs is found", stale.stderr)

        (files / "broken.json").write_text("{")
        broken = make_page(docs)
        expect(broken.returncode == 1 and len(broken.stderr.splitlines()) == 1 and "broken.json" in broken.stderr, "a broken file is named")

        shutil.rmtree(files)
        files.mkdir()
        expect(make_page(docs).returncode == 0, "no files at all")
        expect("nobody knows" in (docs / "benchmarks.md").read_text(), "without a GPU's files the page says that nothing is known")
    return 0


if __name__ == "__main__":
    sys.exit(main())
