"""The BERT forward in PyTorch and its peers. See worker.py.

Where the lengths differ, a batch is padded to its longest sequence and masked, but for two sides: bucketed computes eight
sequences of like length at a time, unpadded works on packed rows as Tenon does.
"""

import contextlib
import warnings

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from common import ROOT, attention_mask, load_bert, pack, pad
from worker import DTYPES, Work, arguments, load_input, serve

BACKENDS = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}
BUCKET = 8


class Forward(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        return self.bert(input_ids, attention_mask=attention_mask).last_hidden_state


class Unpadded(torch.nn.Module):
    """A BertModel's forward on packed rows: attention alone knows where the sequences end."""

    def __init__(self, bert, lengths, device):
        super().__init__()
        self.bert, self.lengths, self.longest = bert, lengths, max(lengths)
        self.heads = bert.config.num_attention_heads
        self.offsets = torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)
        self.positions = torch.cat([torch.arange(length) for length in lengths]).to(device)
        self.varlen = device == "cuda" and bert.dtype == torch.bfloat16

    def attend(self, q, k, v):
        q, k, v = (rows.unflatten(1, (self.heads, -1)) for rows in (q, k, v))
        if self.varlen:
            from torch.nn.attention.varlen import varlen_attn

            return varlen_attn(q, k, v, self.offsets, self.offsets, self.longest, self.longest).flatten(1)
        parts = zip(*(rows.transpose(0, 1).split(self.lengths, dim=1) for rows in (q, k, v)))
        return torch.cat([functional.scaled_dot_product_attention(*part).transpose(0, 1) for part in parts]).flatten(1)

    def forward(self, ids):
        embeddings = self.bert.embeddings
        x = embeddings.word_embeddings(ids) + embeddings.position_embeddings(self.positions)
        x = embeddings.LayerNorm(x + embeddings.token_type_embeddings.weight[0])
        for layer in self.bert.encoder.layer:
            inner, outer = layer.attention.self, layer.attention.output
            mixed = self.attend(inner.query(x), inner.key(x), inner.value(x))
            x = outer.LayerNorm(outer.dense(mixed) + x)
            x = layer.output.LayerNorm(layer.output.dense(functional.gelu(layer.intermediate.dense(x))) + x)
        return x


def cached(options, name, make):
    """A file or folder made from the model once for each state of its weights."""
    weights = next(options.model.glob("*.safetensors"))
    path = ROOT / "build" / "baseline" / f"{options.model.resolve().name}-{weights.stat().st_mtime_ns}.{name}"
    if not path.exists():
        unfinished = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        make(unfinished)
        unfinished.rename(path)
    return path


def export_onnx(options, path):
    ids = torch.ones(2, 8, dtype=torch.long)
    names = ["input_ids", "attention_mask"]
    warnings.simplefilter("ignore")
    torch.onnx.export(
        Forward(load_bert(options.model)),
        (ids, ids),
        path,
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names},
        opset_version=17,
        dynamo=False,
    )


def pytorch(options, ids, lengths):
    """eager, sdpa (PyTorch's own choice among its backends), one backend of it, or compile (of sdpa)."""
    model = load_bert(options.model, DTYPES[options.dtype], "eager" if options.side == "eager" else "sdpa")
    model = model.to(options.device)
    mask = attention_mask(lengths).to(options.device) if len(set(lengths)) > 1 else None
    padded = pad(ids, lengths)
    mode = "max-autotune" if options.device == "cuda" else "default"
    compiled = options.side == "compile"
    if compiled and options.device == "cpu":
        torch._inductor.config.freezing = True  # weights become constants, and are packed for the products
    forward = torch.compile(model, mode=mode) if compiled else model
    backend = BACKENDS.get(options.side)

    @torch.no_grad()
    def run():
        with sdpa_kernel([backend]) if backend else contextlib.nullcontext():
            return forward(padded, attention_mask=mask).last_hidden_state

    settings = {"attention": model.config._attn_implementation, "masked": mask is not None}
    if compiled:
        settings |= {"compile_mode": mode, "freezing": torch._inductor.config.freezing}
    return Work(run, lambda states: pack(states, lengths), len(ids), padded.numel(), settings=settings, warm_ups=2)


def bucketed(options, ids, lengths):
    model = load_bert(options.model, DTYPES[options.dtype], "sdpa").to(options.device)
    rows = ids.split(lengths)
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    buckets = [order[begin : begin + BUCKET] for begin in range(0, len(order), BUCKET)]
    batches = []
    for bucket in buckets:
        inside = [lengths[index] for index in bucket]
        batches.append((pad(torch.cat([rows[index] for index in bucket]), inside), attention_mask(inside).to(options.device)))

    @torch.inference_mode()
    def run():
        return [model(padded, attention_mask=mask).last_hidden_state for padded, mask in batches]

    def packed(states):
        flat = [state for batch in states for state in batch]
        by_index = {index: state[: lengths[index]] for index, state in zip(order, flat)}
        return torch.cat([by_index[index] for index in range(len(lengths))])

    computed = sum(padded.numel() for padded, _ in batches)
    return Work(run, packed, len(ids), computed, settings={"attention": "sdpa", "sequences_in_bucket": BUCKET})


def unpadded(options, ids, lengths):
    bert = load_bert(options.model, DTYPES[options.dtype], "sdpa").to(options.device)
    model = Unpadded(bert, lengths, options.device)
    settings = {"attention": "varlen_attn" if model.varlen else "sdpa, a sequence at a time"}
    return Work(torch.inference_mode()(lambda: model(ids)), lambda states: states, len(ids), settings=settings)


def onnxruntime(options, ids, lengths):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    file = cached(options, "onnx", lambda path: export_onnx(options, path))
    session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    padded = pad(ids, lengths)
    inputs = {"input_ids": padded.numpy(), "attention_mask": attention_mask(lengths).numpy()}
    return Work(
        lambda: session.run(None, inputs)[0],
        lambda states: pack(torch.from_numpy(states), lengths),
        len(ids),
        padded.numel(),
        settings={"version": onnxruntime.__version__, "optimisations": str(settings.graph_optimization_level), "opset": 17},
    )


def ctranslate2(options, ids, lengths):
    import ctranslate2
    import numpy
    import transformers

    def convert(path):
        # The converter asks for a setting that transformers has dropped, all BERTs being absolute.
        transformers.BertConfig.position_embedding_type = "absolute"
        ctranslate2.converters.TransformersConverter(str(options.model)).convert(str(path), force=True)

    folder = cached(options, "ctranslate2", convert)
    encoder = ctranslate2.Encoder(str(folder), compute_type="float32", intra_threads=options.threads)
    batch = [row.tolist() for row in ids.split(lengths)]
    return Work(
        lambda: encoder.forward_batch(batch).last_hidden_state,
        lambda states: pack(torch.from_numpy(numpy.array(states)), lengths),
        len(ids),
        len(lengths) * max(lengths),
        settings={"version": ctranslate2.__version__, "compute_type": encoder.compute_type},
    )


MAKERS = {"bucketed": bucketed, "unpadded": unpadded, "onnxruntime": onnxruntime, "ctranslate2": ctranslate2}
SIDES = ["eager", "sdpa", *BACKENDS, "compile", *MAKERS]


def make_work(options):
    batch = load_input(options)
    lengths = batch["cu_seqlens"].diff().tolist()
    work = MAKERS.get(options.side, pytorch)(options, batch["input_ids"].long(), lengths)
    states = work.tensors
    work.tensors = lambda results: {"last_hidden_state": states(results)}
    return work


if __name__ == "__main__":
    serve(arguments(SIDES), make_work)
