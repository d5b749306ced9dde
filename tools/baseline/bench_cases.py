"""The cases of bench.py: their inputs, who takes part, their work in flops, and how far results may differ."""

import importlib.util
import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

import bench_model
import imdb
from bench_bert import BACKENDS
from common import cu_seqlens, save

HERE = Path(__file__).resolve().parent
# Tokens of 64 random IMDB reviews cut at 512: sample(…, 64) of imdb.py with BERT's uncased vocabulary.
IMDB_LENGTHS = [
    *(177, 273, 310, 512, 164, 512, 115, 137, 512, 349, 206, 193, 186, 141, 195, 475, 349, 103, 203, 496, 107, 149),
    *(314, 292, 103, 186, 173, 112, 260, 174, 288, 152, 191, 181, 151, 284, 64, 52, 170, 146, 171, 362, 111, 171),
    *(178, 162, 234, 171, 224, 512, 76, 156, 129, 63, 149, 230, 331, 512, 422, 512, 145, 202, 159, 176),
]
FP32_LIMIT = 1e-4  # largest error over largest reference, of each result
ROUNDED_FACTOR = 3  # in tf32 and bf16: times the error of PyTorch in the same type; the reference is PyTorch in fp32


@dataclass
class Case:
    title: str
    work: str
    write: object  # (case, options, path) -> the work's flops, or bytes of text
    lengths: list = field(default_factory=list)
    backward: bool = False
    model: str = ""  # whose size the random weights have

    @property
    def script(self):
        own = {"bert", "gru", "epoch", "tokenize"}
        return {"tokenize": "bench_tokenizer.py"}.get(self.work, f"bench_{self.work if self.work in own else 'operations'}.py")

    @property
    def ragged(self):
        return len(set(self.lengths)) > 1

    def folder(self, options):
        if not self.model:
            return None
        if self.work == "tokenize":
            return options.model or bench_model.wheel_model()
        return options.model or bench_model.random_bert(self.model)

    def peers(self, options):
        """The other sides, the first of which is the reference; what is not installed is left out."""
        cpu, fp32 = options.device == "cpu", options.dtype == "fp32"
        backends = [] if self.ragged else ["sdpa_math"] if cpu else list(BACKENDS)
        if self.work == "bert":
            others = [peer for peer in ("onnxruntime", "ctranslate2") if cpu and fp32 and importlib.util.find_spec(peer)]
            return ["sdpa", "compile", *(["bucketed", "unpadded"] if self.ragged else ["eager", *backends]), *others]
        if self.work == "gru":
            return ["padded", "bucketed", "packed"] if self.ragged else ["plain"]
        if self.work == "epoch":
            return ["padded"] if cpu else ["packed", "padded"]
        if self.work == "attention":
            return ["padded", "unpadded"] if self.ragged else ["sdpa", *backends]
        return {"tokenize": ["tokenizers"], "adamw": ["fused", "foreach"]}.get(self.work, ["eager", "compile"])

    def command(self, side, options, input_file, dtype=None):
        arguments = ["--input", str(input_file), "--threads", str(options.threads), "--device", options.device]
        arguments += ["--dtype", dtype or options.dtype]
        if folder := self.folder(options):
            arguments += ["--model", str(folder)]
        if side == "tenon":
            return [options.tenon, "bench", "--worker", self.work, *arguments]
        return [sys.executable, str(HERE / self.script), "--side", side, "--work", self.work, *arguments]


def random_ids(lengths, words):
    """Ids of no special token: BERT has those in front."""
    return torch.randint(words // 20, words, (sum(lengths),), generator=torch.Generator().manual_seed(1), dtype=torch.int32)


def config_of(folder):
    from transformers import BertConfig

    return BertConfig.from_pretrained(folder)


def write_bert(case, options, path):
    config = config_of(case.folder(options))
    save(path, {"input_ids": random_ids(case.lengths, config.vocab_size), "cu_seqlens": cu_seqlens(case.lengths)})
    return bert_flops(config, case.lengths)


def bert_flops(config, lengths):
    """Two for each multiplication of the matrix products, real tokens only."""
    hidden, rows = config.hidden_size, sum(lengths)
    dense = rows * (4 * hidden * hidden + 2 * hidden * config.intermediate_size)
    attention = 2 * hidden * sum(length * length for length in lengths)
    return 2 * config.num_hidden_layers * (dense + attention)


def gru_flops(rnn, rows):
    weights = sum(parameter.numel() for name, parameter in rnn.named_parameters() if name.startswith("weight"))
    return 3 * 2 * weights * rows  # the backward does every product twice more


def write_gru(case, options, path):
    torch.manual_seed(2)
    rnn = nn.GRU(768, 256, 2, bidirectional=True)
    rows = sum(case.lengths)
    tensors = {"x": torch.randn(rows, 768), "cu_seqlens": cu_seqlens(case.lengths)}
    save(path, tensors | rnn.state_dict() | {"grad_output": torch.randn(rows, 512)})
    return gru_flops(rnn, rows)


def write_epoch(case, options, path, size=32):
    """Random reviews of given lengths, in batches of like length and random order."""
    config, count = config_of(case.folder(options)), len(case.lengths)
    torch.manual_seed(3)
    rnn, out = nn.GRU(config.hidden_size, 256, 2, bidirectional=True), nn.Linear(512, 1)
    by_length = sorted(range(count), key=lambda index: case.lengths[index])
    batches = torch.tensor(by_length, dtype=torch.int32).view(-1, min(size, count))
    head = {f"rnn.{n}": p for n, p in rnn.named_parameters()} | {f"out.{n}": p for n, p in out.named_parameters()}
    tensors = {"input_ids": random_ids(case.lengths, config.vocab_size), "cu_seqlens": cu_seqlens(case.lengths)}
    tensors |= {"labels": torch.randint(2, (count,)).float(), "batch_size": torch.tensor([size], dtype=torch.int32)}
    save(path, tensors | head | {"order": batches[torch.randperm(len(batches))].flatten()})
    return bert_flops(config, case.lengths) + gru_flops(rnn, sum(case.lengths))


def write_operation(shapes, flops):
    def write(case, options, path):
        torch.manual_seed(4)
        rows = sum(case.lengths)
        tensors = {name: torch.randn([rows if size == "rows" else size for size in shape]) for name, shape in shapes.items()}
        tensors |= {"cu_seqlens": cu_seqlens(case.lengths), "input_ids": random_ids(case.lengths, 30522)}
        if case.backward:
            tensors["grad_output"] = torch.randn(rows, 3072 if case.work == "gelu" else 768)
        save(path, tensors)
        return flops(case.lengths) * (3 if case.backward else 1)

    return write


def write_adamw(case, options, path):
    """The parameters of the published head."""
    torch.manual_seed(5)
    shapes = [p.shape for p in itertools.chain(nn.GRU(768, 256, 2, bidirectional=True).parameters(), nn.Linear(512, 1).parameters())]
    tensors = {f"parameter.{index}": 0.05 * torch.randn(shape) for index, shape in enumerate(shapes)}
    for which in (0, 1):
        tensors |= {f"grad.{which}.{index}": 1e-3 * torch.randn(shape) for index, shape in enumerate(shapes)}
    save(path, tensors)
    return sum(shape.numel() for shape in shapes)


def write_tokenize(case, options, path):
    texts = imdb.sample(imdb.archive(options.data), 2000)
    path.write_text("\n".join(texts) + "\n")
    return path.stat().st_size


LAYER_NORM = write_operation({"x": ("rows", 768), "weight": (768,), "bias": (768,)}, lambda lengths: 8 * 768 * sum(lengths))
GELU = write_operation({"x": ("rows", 3072)}, lambda lengths: 15 * 3072 * sum(lengths))
ATTENTION = write_operation(
    {name: ("rows", 768) for name in "qkv"}, lambda lengths: 4 * 768 * sum(length * length for length in lengths)
)
EMBEDDING = write_operation(
    {"word": (30522, 768), "position": (512, 768), "token_type": (2, 768), "weight": (768,), "bias": (768,)},
    lambda lengths: 10 * 768 * sum(lengths),
)
FULL, SHORT = [512] * 8, [128] * 8
CASES = {
    "bert_1x128": Case("BERT-base forward, 1 x 128", "bert", write_bert, [128], model="bert-base"),
    "bert_8x128": Case("BERT-base forward, 8 x 128", "bert", write_bert, SHORT, model="bert-base"),
    "bert_8x512": Case("BERT-base forward, 8 x 512", "bert", write_bert, FULL, model="bert-base"),
    "bert_imdb": Case("BERT-base forward, 32 reviews", "bert", write_bert, IMDB_LENGTHS[:32], model="bert-base"),
    "gru_32x256": Case("BiGRU forward + backward, 32 x 256", "gru", write_gru, [256] * 32, backward=True),
    "gru_128x512": Case("BiGRU forward + backward, 128 x 512", "gru", write_gru, [512] * 128, backward=True),
    "gru_imdb": Case("BiGRU forward + backward, 64 reviews", "gru", write_gru, IMDB_LENGTHS, backward=True),
    "epoch": Case("Sentiment epoch, 256 reviews", "epoch", write_epoch, [min(length, 256) for length in 4 * IMDB_LENGTHS], True, "minilm"),
    "layer_norm": Case("Layer norm, 4096 x 768", "layer_norm", LAYER_NORM, FULL),
    "layer_norm_backward": Case("Layer norm forward + backward", "layer_norm", LAYER_NORM, FULL, True),
    "gelu": Case("GELU (erf), 4096 x 3072", "gelu", GELU, FULL),
    "gelu_backward": Case("GELU forward + backward", "gelu", GELU, FULL, True),
    "attention": Case("Attention, 8 x 512, 12 heads", "attention", ATTENTION, FULL),
    "attention_backward": Case("Attention forward + backward", "attention", ATTENTION, FULL, True),
    "attention_imdb": Case("Attention, 64 reviews", "attention", ATTENTION, IMDB_LENGTHS),
    "attention_imdb_backward": Case("Attention f. + b., 64 reviews", "attention", ATTENTION, IMDB_LENGTHS, True),
    "embedding": Case("Embedding, 4096 tokens", "embedding", EMBEDDING, FULL),
    "embedding_backward": Case("Embedding forward + backward", "embedding", EMBEDDING, FULL, True),
    "adamw": Case("AdamW, 2.8 million parameters", "adamw", write_adamw),
    "tokenize": Case("WordPiece, 2,000 reviews, one thread", "tokenize", write_tokenize, model="minilm"),
}


def errors(path, reference):
    """Largest error over largest reference of every result; a missing, misshapen or NaN result is an error, too."""
    found, expected = load_file(path), load_file(reference)
    result = {}
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape:
            result[name] = float("nan")
            continue
        difference = (found[name].double() - value.double()).abs().max()
        result[name] = (difference / value.double().abs().max().clamp(min=1e-30)).item()
    return result
