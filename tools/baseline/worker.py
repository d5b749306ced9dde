"""One side of a benchmark as a process that works only when asked, so that a driver can interleave several.

A worker gets its case, an input file (below) and, for BERT and the tokenizer, a model folder. When everything is loaded
and has run once, it prints a JSON object on one line, with at least `side` and `threads`. Then it answers each line on
standard input with one line of JSON, and ends with its input:

    run           does the work once, and answers {"seconds": S}; reading and writing files is not part of S
    output PATH   the same, and writes the results to PATH (safetensors) before it answers

Standard output carries nothing else. Tenon's side is `tenon bench --worker CASE --input FILE [--model FOLDER]
[--threads N]`.

    case      input file                                       the work                   results
    bert      safetensors: input_ids (T) i32, cu_seqlens       the encoder's forward,     last_hidden_state (T, H) f32
              (B + 1) i32                                      inference, fp32
    gru       safetensors: x (T, I), cu_seqlens (B + 1) i32,   nn.GRU's forward, and      output (T, 2H), grad.x (T, I),
              weight_ih_l0 … (PyTorch's names, fp32),          backward of x and of       grad.weight_ih_l0 …
              grad_output (T, 2H)                              all weights
    tokenize  text: one review a line                          token ids of all lines,    input_ids (T) i32, cu_seqlens
                                                               one thread, no truncation  (lines + 1) i32, special
                                                                                          tokens included
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import report


def arguments(sides):
    """The command line of a worker; `sides` are the ways in which it can do the work."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--side", choices=sides, default=sides[0], help="who does the work (default: %(default)s)")
    parser.add_argument("--input", type=Path, required=True, help="the input file of the case, see worker.py")
    parser.add_argument("--model", type=Path, help="a HuggingFace model folder")
    parser.add_argument("--threads", type=int, default=report.threads(), help="default: all (%(default)s)")
    return parser.parse_args()


def serve(side, threads, work, save):
    """Answers requests until the input ends. `work()` returns the results that `save(results, path)` writes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # a library's own messages must not stand among the answers
    work()
    print(json.dumps({"side": side, "threads": threads}), file=answers)
    for line in sys.stdin:
        request, _, path = line.strip().partition(" ")
        start = time.perf_counter()
        results = work()
        seconds = time.perf_counter() - start
        if request == "output":
            save(results, Path(path))
        print(json.dumps({"seconds": seconds}), file=answers)
        del results
