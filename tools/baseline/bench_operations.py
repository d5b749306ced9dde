"""Single operations in PyTorch, forward and backward. See worker.py.

eager, compile (torch.compile of it); attention: SDPA as PyTorch chooses, one of its backends, padded with a mask, or
unpadded; adamw: fused, or foreach.
"""

import contextlib

import torch
from torch.nn import functional
from torch.nn.attention import sdpa_kernel

from bench_bert import BACKENDS
from common import attention_mask, pack, pad
from worker import Work, arguments, load_input, serve

HEAD_SIZE = 64
SIDES = ["eager", "compile", "sdpa", *BACKENDS, "padded", "unpadded", "fused", "foreach"]


def attention(options, tensors):
    lengths = tensors["cu_seqlens"].diff().tolist()
    backend = BACKENDS.get(options.side)
    mask = attention_mask(lengths).bool()[:, None, None, :].to(options.device) if options.side == "padded" else None

    def forward(q, k, v):
        if options.side == "unpadded":
            return one_by_one(q, k, v, lengths)
        heads = (pad(rows, lengths).unflatten(2, (-1, HEAD_SIZE)).transpose(1, 2) for rows in (q, k, v))
        with sdpa_kernel([backend]) if backend else contextlib.nullcontext():
            mixed = functional.scaled_dot_product_attention(*heads, attn_mask=mask)
        return pack(mixed.transpose(1, 2).flatten(2), lengths)

    def batched(q, k, v):  # all of one length: no copy into a padded batch
        heads = (rows.view(len(lengths), -1, rows.shape[1] // HEAD_SIZE, HEAD_SIZE).transpose(1, 2) for rows in (q, k, v))
        with sdpa_kernel([backend]) if backend else contextlib.nullcontext():
            return functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2).flatten(0, 1)

    return (batched if len(set(lengths)) == 1 else forward), ["q", "k", "v"]


def one_by_one(q, k, v, lengths):
    heads = [rows.unflatten(1, (-1, HEAD_SIZE)) for rows in (q, k, v)]
    if q.is_cuda and q.dtype == torch.bfloat16:
        from torch.nn.attention.varlen import varlen_attn

        offsets = torch.tensor([0, *lengths], device=q.device).cumsum(0).to(torch.int32)
        return varlen_attn(*heads, offsets, offsets, max(lengths), max(lengths)).flatten(1)
    parts = zip(*(rows.transpose(0, 1).split(lengths, dim=1) for rows in heads))
    return torch.cat([functional.scaled_dot_product_attention(*part).transpose(0, 1) for part in parts]).flatten(1)


def embedding(options, tensors):
    lengths = tensors["cu_seqlens"].diff().tolist()
    ids = tensors["input_ids"].long()
    positions = torch.cat([torch.arange(length) for length in lengths]).to(ids.device)

    def forward(word, position, token_type, weight, bias):
        x = functional.embedding(ids, word) + functional.embedding(positions, position) + token_type[0]
        return functional.layer_norm(x, weight.shape, weight, bias, 1e-12)

    return forward, ["word", "position", "token_type", "weight", "bias"]


def layer_norm(options, tensors):
    return lambda x, weight, bias: functional.layer_norm(x, weight.shape, weight, bias, 1e-12), ["x", "weight", "bias"]


def gelu(options, tensors):
    return functional.gelu, ["x"]


MAKERS = {"attention": attention, "embedding": embedding, "layer_norm": layer_norm, "gelu": gelu}


def adamw(options, tensors):
    count = sum(name.startswith("parameter.") for name in tensors)
    first = [tensors[f"parameter.{i}"] for i in range(count)]
    grads = [[tensors[f"grad.{which}.{i}"] for i in range(count)] for which in (0, 1)]
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in first]
    state = {}

    def run():
        for parameter, grad in zip(parameters, grads[state["steps"] % 2]):
            parameter.grad = grad
        state["optimizer"].step()
        state["steps"] += 1

    def reset():
        with torch.no_grad():
            for parameter, value in zip(parameters, first):
                parameter.copy_(value)
        flags = {options.side: True}
        state["optimizer"] = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, **flags)
        state["steps"] = 0
        run()

    reset()
    results = lambda _: {f"parameter.{i}": parameter for i, parameter in enumerate(parameters)}
    return Work(run, results, sum(tensor.numel() for tensor in first), reset=reset)


def make_work(options):
    tensors = load_input(options)
    if options.work == "adamw":
        return adamw(options, tensors)
    forward, names = MAKERS[options.work](options, tensors)
    if options.side == "compile":
        forward = torch.compile(forward)
    grad_output = tensors.get("grad_output")
    leaves = [tensors[name].requires_grad_(grad_output is not None) for name in names]

    def run():
        for leaf in leaves:
            leaf.grad = None
        output = forward(*leaves)
        if grad_output is not None:
            output.backward(grad_output)
        return output

    def results(output):
        return {"output": output} | {f"grad.{n}": leaf.grad for n, leaf in zip(names, leaves) if leaf.grad is not None}

    rows = tensors["x"].shape[0] if "x" in tensors else int(tensors["cu_seqlens"][-1])
    return Work(run, results, rows, warm_ups=3)


if __name__ == "__main__":
    serve(arguments(SIDES), make_work)
