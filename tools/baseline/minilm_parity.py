"""Parity on real weights: every hidden state of a BERT on IMDB reviews, `tenon encode` against PyTorch.

The error is the largest difference from fp64 over the largest reference, of each layer. Tenon's must be at most 1e-5,
and at most twice PyTorch's own. Writes docs/benchmarks/minilm_parity.json; exit 1 where the promise is broken.

Example: TENON_IMDB=aclImdb_labeled_50k.tar.gz python tools/baseline/minilm_parity.py
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import imdb
import report
from bench_model import wheel_model
from common import ROOT, load_bert

LIMIT = 1e-5


def tenon_states(program, encoder, texts):
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "reviews.txt", Path(folder) / "states.safetensors"
        file.write_text("\n".join(texts) + "\n")
        command = [program, "encode", str(encoder), "--file", str(file), "--all-layers", "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return load_file(out)


@torch.inference_mode()
def torch_states(encoder, sequences, dtype):
    """Packed hidden states of every layer, each sequence alone."""
    model = load_bert(encoder, dtype)
    each = [model(ids[None], output_hidden_states=True).hidden_states for ids in sequences]
    return [torch.cat([states[0] for states in layer]).double() for layer in zip(*each)]


def check_ids(encoder, texts, sequences):
    expected = imdb.token_ids(imdb.load_tokenizer(encoder), texts, 512)
    for text, ids, sequence in zip(texts, expected, sequences, strict=True):
        if ids != sequence.tolist():
            raise SystemExit(f"tenon has other token ids than HuggingFace for: {text[:80]} …")


def relative(states, reference):
    return ((states.double() - reference).abs().max() / reference.abs().max()).item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--encoder", type=Path, default=wheel_model(), help="a BERT folder (default: the wheel's MiniLM)"
    )
    parser.add_argument("--data", type=Path, help="aclImdb folder or .tar.gz (default: TENON_IMDB)")
    parser.add_argument("--reviews", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--tenon", help="the program (default: TENON_BIN, else the newest under build/)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks", help="default: docs/benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(report.threads())

    texts = imdb.sample(imdb.archive(options.data), options.reviews)
    found = tenon_states(report.program(options.tenon), options.encoder, texts)
    sequences = found["input_ids"].long().split(found["cu_seqlens"].diff().tolist())
    check_ids(options.encoder, texts, sequences)
    single = torch_states(options.encoder, sequences, torch.float32)
    layers = []
    for layer, reference in enumerate(torch_states(options.encoder, sequences, torch.float64)):
        tenon = relative(found[f"hidden_states.{layer}"], reference)
        layers.append(
            {"tensor": f"hidden_states.{layer}", "tenon": tenon, "pytorch": relative(single[layer], reference)}
        )
        print(f"hidden_states.{layer}: tenon {tenon:.2e}, PyTorch {layers[-1]['pytorch']:.2e}")
    if not torch.equal(found["last_hidden_state"], found[f"hidden_states.{layer}"]):
        raise SystemExit("last_hidden_state is not the last of the hidden states")
    passed = all(one["tenon"] <= min(LIMIT, 2 * one["pytorch"]) for one in layers)
    tokens = len(found["input_ids"])
    report.write(
        options.out,
        "minilm_parity",
        {
            "what": "largest error against PyTorch in fp64 over the largest reference value, fp32",
            "encoder": "all-MiniLM-L6-v2",
            "reviews": options.reviews,
            "tokens": tokens,
            "limit": LIMIT,
            "passed": passed,
            "layers": layers,
        },
    )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
