"""One side of a benchmark as a process that works only when asked, so that a driver can interleave several.

A worker gets its work's input file (below) and, for whole models, a model folder. When everything is loaded and has run,
it prints a JSON object on one line: `side`, `threads`, `device`, `dtype`, `tokens` (rows of the input, without padding),
`input_sha256` (of the input file as this side read it) and `settings` (every flag that matters); or `side` and
`unavailable`, a reason, and ends. Then it answers each line on standard input with one line of JSON, until the input ends:

    run           does the work once, and answers {"seconds": S}; reading and writing files is not part of S
    output PATH   the same, and writes the results to PATH (safetensors, fp32) before it answers

Standard output carries nothing else. Tenon's side is `tenon bench --worker WORK --input FILE [--model FOLDER] [--threads N]
[--device D] [--dtype P]`. A packed batch is `cu_seqlens` (B + 1) i32 and T rows; all floats are fp32 in the file.

    work        input file (safetensors but for tokenize)      the work                      results
    bert        input_ids (T) i32, cu_seqlens                  the encoder's forward         last_hidden_state (T, H)
    gru         x (T, I), cu_seqlens, weight_ih_l0 … (names    nn.GRU's forward, and         output (T, 2H), grad.x (T, I),
                of PyTorch), grad_output (T, 2H)               backward of x and weights     grad.weight_ih_l0 …
    epoch       input_ids, cu_seqlens, labels (B), order (B)   the published head over the   losses (steps)
                i32, batch_size (1) i32, rnn.* and out.*       frozen encoder: forward,
                                                               backward, Adam(1e-3) of each
                                                               batch; no dropout
    layer_norm  x (T, H), weight, bias (H)                     eps 1e-12; like the next      output, and with grad_output
    gelu        x (T, H)                                       three: forward, and if there  in the input grad.x, grad.weight …
    attention   q, k, v (T, H), cu_seqlens                     is grad_output, backward;
    embedding   input_ids, cu_seqlens, word, position,         heads of 64
                token_type, weight, bias
    adamw       parameter.N, grad.0.N, grad.1.N                a step of AdamW(1e-3, weight  parameter.N after two steps
                                                               decay 0.01), the two sets of
                                                               gradients in turn
    tokenize    text: one review a line                        token ids of all lines, one   input_ids (T) i32, cu_seqlens,
                                                               thread, no truncation         special tokens included
"""

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch
from safetensors.torch import load_file

import report
from common import save

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Work:
    run: Callable  # does the work and gives its results
    tensors: Callable  # from the results to the named tensors of the output file
    tokens: int
    computed_tokens: int | None = None  # with the padding that this side adds
    reset: Callable = lambda: None  # before a run whose results are wanted, where runs build on each other
    settings: dict = field(default_factory=dict)
    warm_ups: int = 1


def arguments(sides):
    """The command line of a worker; `sides` are the ways in which it can do the work."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--side", choices=sides, default=sides[0], help="who does the work (default: %(default)s)")
    parser.add_argument("--work", help="an operation's name, for bench_operations.py")
    parser.add_argument("--input", type=Path, required=True, help="the input file of the work, see worker.py")
    parser.add_argument("--model", type=Path, help="a HuggingFace model folder")
    parser.add_argument("--threads", type=int, default=report.threads(), help="default: all (%(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), default="fp32")
    options = parser.parse_args()
    set_precision(options.dtype)
    torch.set_num_threads(options.threads)
    return options


def set_precision(dtype):
    """TF32 alike for products and for cuDNN's GRU; sums of bf16 products in fp32, as Tenon's are."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tf32"
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False


def precision_settings():
    products, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return {"products_tf32": products.allow_tf32, "cudnn_tf32": cudnn.allow_tf32}


def load_input(options):
    """The tensors of the input file on the device, the floats in the element type that activations have."""
    dtype = DTYPES[options.dtype]
    tensors = {name: tensor.to(options.device) for name, tensor in load_file(options.input).items()}
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def serve(options, make_work):
    """Answers requests until the input ends. What PyTorch cannot do here makes the side unavailable."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library's own messages must not stand among the answers
    synchronize = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    try:
        work = make_work(options)
        for _ in range(max(work.warm_ups, 3 if options.device == "cuda" else 1)):
            results = work.run()
        synchronize()
    except (RuntimeError, ImportError, AttributeError, AssertionError, ValueError, TypeError) as error:
        print(json.dumps({"side": options.side, "unavailable": str(error).partition("\n")[0]}), file=answers)
        return
    del results
    info = {"side": options.side, "threads": options.threads, "device": options.device, "dtype": options.dtype}
    info |= {"tokens": work.tokens, "input_sha256": hashlib.sha256(options.input.read_bytes()).hexdigest()}
    info |= {"computed_tokens": work.computed_tokens or work.tokens}
    print(json.dumps({**info, "settings": {**work.settings, **precision_settings()}}), file=answers)
    for line in sys.stdin:
        request, _, path = line.strip().partition(" ")
        if request == "output":
            work.reset()
        synchronize()
        start = time.perf_counter()
        results = work.run()
        synchronize()
        seconds = time.perf_counter() - start
        if request == "output":
            save(Path(path), {name: full(tensor) for name, tensor in work.tensors(results).items()})
        print(json.dumps({"seconds": seconds}), file=answers)
        del results


def full(tensor):
    return tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.detach().cpu()
