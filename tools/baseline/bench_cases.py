"""The cases of bench.py: their inputs, their sides, their work in flops, and how results are compared."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

import imdb
from common import cu_seqlens, save

HERE = Path(__file__).resolve().parent
IMDB = "64 random IMDB reviews cut at 512 tokens"


@dataclass
class Case:
    worker: str  # what `tenon bench --worker` calls it
    script: str  # the other sides' worker
    sides: list  # and who they are
    runs: int
    lengths: list | None = None  # of every sequence; None: those of the reviews
    tolerance: float = 1e-4  # largest error over largest reference, of each result

    def commands(self, options, input_file):
        arguments = ["--input", str(input_file), "--threads", str(options.threads)]
        if self.worker != "gru":
            arguments += ["--model", str(options.model)]
        others = {side: [sys.executable, str(HERE / self.script), "--side", side, *arguments] for side in self.sides}
        return {"tenon": [options.tenon, "bench", "--worker", self.worker, *arguments], **others}


BERT_SIDES, RAGGED_SIDES = ["pytorch", "onnxruntime"], ["packed", "padded"]
CASES = {
    "bert_1x128": Case("bert", "bench_bert.py", BERT_SIDES, 20, [128]),
    "bert_8x128": Case("bert", "bench_bert.py", BERT_SIDES, 10, [128] * 8),
    "bert_8x512": Case("bert", "bench_bert.py", BERT_SIDES, 5, [512] * 8),
    "bert_imdb": Case("bert", "bench_bert.py", BERT_SIDES, 3),
    "gru_32x256": Case("gru", "bench_gru.py", ["plain"], 10, [256] * 32),
    "gru_128x512": Case("gru", "bench_gru.py", ["plain"], 3, [512] * 128),
    "gru_imdb": Case("gru", "bench_gru.py", RAGGED_SIDES, 3),
    "tokenize": Case("tokenize", "bench_tokenizer.py", ["tokenizers"], 5, tolerance=0),
}


def review_ids(options, count=64):
    return imdb.token_ids(imdb.load_tokenizer(options.model), imdb.sample(imdb.archive(options.data), count), 512)


def write_bert(case, options, path):
    generator = torch.Generator().manual_seed(1)
    if case.lengths:
        ids = [torch.randint(1000, 30000, (length,), generator=generator).tolist() for length in case.lengths]
    else:
        ids = review_ids(options)
    flat = torch.tensor(sum(ids, []), dtype=torch.int32)
    save(path, {"input_ids": flat, "cu_seqlens": cu_seqlens([len(one) for one in ids])})
    return bert_flops(options.model, [len(one) for one in ids])


def bert_flops(folder, lengths):
    """Two for each multiplication of the matrix products, real tokens only."""
    from transformers import BertConfig

    config = BertConfig.from_pretrained(folder)
    hidden, rows = config.hidden_size, sum(lengths)
    dense = rows * (4 * hidden * hidden + 2 * hidden * config.intermediate_size)
    attention = 2 * hidden * sum(length * length for length in lengths)
    return 2 * config.num_hidden_layers * (dense + attention)


def write_gru(case, options, path):
    lengths = case.lengths or [len(ids) for ids in review_ids(options)]
    torch.manual_seed(2)
    rnn = nn.GRU(768, 256, 2, bidirectional=True)
    tensors = {"x": torch.randn(sum(lengths), 768), "cu_seqlens": cu_seqlens(lengths)}
    save(path, tensors | rnn.state_dict() | {"grad_output": torch.randn(sum(lengths), 512)})
    weights = sum(parameter.numel() for name, parameter in rnn.named_parameters() if name.startswith("weight"))
    return 3 * 2 * weights * sum(lengths)  # the backward does every product twice more


def write_tokenize(case, options, path):
    texts = imdb.sample(imdb.archive(options.data), 2000)
    path.write_text("\n".join(texts) + "\n")
    return path.stat().st_size  # bytes stand where others have flops


WRITERS = {"bert": write_bert, "gru": write_gru, "tokenize": write_tokenize}


def errors(path, reference):
    """Largest error over largest reference of every result; a missing, misshapen or NaN result is an error, too."""
    found, expected = load_file(path), load_file(reference)
    result = {}
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape:
            raise SystemExit(f"{path}: {name} should have shape {tuple(value.shape)}")
        difference = (found[name].double() - value.double()).abs().max()
        result[name] = (difference / value.double().abs().max().clamp(min=1e-30)).item()
    return result
