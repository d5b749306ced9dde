"""HuggingFace's `tokenizers` on one thread: the other side of Tenon's WordPiece. See worker.py."""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers
import torch

from common import cu_seqlens
from imdb import load_tokenizer
from worker import Work, arguments, serve


def make_work(options):
    options.threads = 1
    lines = options.input.read_text().removesuffix("\n").split("\n")
    tokenizer = load_tokenizer(options.model)

    def results(encodings):
        ids = [torch.tensor(encoding.ids, dtype=torch.int32) for encoding in encodings]
        return {"input_ids": torch.cat(ids), "cu_seqlens": cu_seqlens([len(one) for one in ids])}

    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(lines))
    return Work(lambda: tokenizer.encode_batch(lines), results, tokens, settings={"version": tokenizers.__version__})


if __name__ == "__main__":
    serve(arguments(["tokenizers"]), make_work)
