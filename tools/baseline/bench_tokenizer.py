"""HuggingFace's `tokenizers` on one thread: the other side of Tenon's WordPiece. See worker.py."""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch

from common import cu_seqlens, save
from imdb import load_tokenizer
from worker import arguments, serve


def main():
    options = arguments(["tokenizers"])
    lines = options.input.read_text().removesuffix("\n").split("\n")
    tokenizer = load_tokenizer(options.model)

    def save_ids(encodings, path):
        ids = [torch.tensor(encoding.ids, dtype=torch.int32) for encoding in encodings]
        save(path, {"input_ids": torch.cat(ids), "cu_seqlens": cu_seqlens([len(one) for one in ids])})

    serve(options.side, 1, lambda: tokenizer.encode_batch(lines), save_ids)


if __name__ == "__main__":
    main()
