"""PyTorch's side of the main job: frozen BERT features kept in fp16, the published head, hand-padded batches.

Prints a JSON line for each epoch and one for the test, which is done at the epoch with the lowest validation loss.

Example (the first row of the table): python tools/baseline/train_imdb.py --encoder MINILM --train-limit 2000
  --valid-limit 500 --test-limit 2000 --max-length 256 --batch-size 64 --epochs 4
"""

import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch
from torch import nn

import imdb
import report
from common import attention_mask, load_bert, pad
from padded_gru import PaddedGRU


class Head(nn.Module):
    """`rnn`, `out` and the dropouts of the published model, on padded features."""

    def __init__(self, width):
        super().__init__()
        self.rnn = nn.GRU(width, 256, 2, bidirectional=True, batch_first=True, dropout=0.25)
        self.by_hand = PaddedGRU(self.rnn)
        self.dropout = nn.Dropout(0.25)
        self.out = nn.Linear(512, 1)

    def forward(self, features, lengths):
        output = self.by_hand(features, lengths)
        last = output[torch.arange(len(lengths)), torch.tensor(lengths) - 1, :256]
        return self.out(self.dropout(torch.cat((last, output[:, 0, 256:]), dim=1))).squeeze(1)


def balanced(reviews, limit):
    """Every k-th review of each class."""
    if not limit:
        return reviews
    classes = [[review for review in reviews if review[1] == label] for label in (0, 1)]
    return [one[index * len(one) // (limit // 2)] for one in classes for index in range(limit // 2)]


def load_splits(options):
    """70 % and 30 % of the training reviews, and the test reviews, each cut to its limit."""
    path = imdb.archive(options.data)
    reviews = imdb.read(path, "train")
    order = random.Random(options.seed).sample(range(len(reviews)), len(reviews))
    cut = len(reviews) * 7 // 10
    train, valid = ([reviews[index] for index in sorted(part)] for part in (order[:cut], order[cut:]))
    limits = options.train_limit, options.valid_limit, options.test_limit
    return [balanced(part, limit) for part, limit in zip((train, valid, imdb.read(path, "test")), limits)]


@torch.inference_mode()
def encode(model, tokenizer, reviews, max_length):
    """[(features (L, H) fp16, label)], computed in batches of like length."""
    ids = imdb.token_ids(tokenizer, [text for text, _ in reviews], max_length)
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    features = [None] * len(ids)
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        lengths = [len(ids[index]) for index in chosen]
        padded = pad(torch.tensor(sum((ids[index] for index in chosen), [])), lengths)
        states = model(padded, attention_mask=attention_mask(lengths)).last_hidden_state
        for index, state, length in zip(chosen, states, lengths):
            features[index] = state[:length].half()
    return [(state, float(label)) for state, (_, label) in zip(features, reviews)]


def batches(data, size, generator=None):
    """Padded batches: bucketed by length in random order for training, in the data's order else."""
    order = list(range(len(data)))
    if generator:
        generator.shuffle(order)
        pool = size * 16
        pools = [sorted(order[i : i + pool], key=lambda index: len(data[index][0])) for i in range(0, len(order), pool)]
        groups = [part[i : i + size] for part in pools for i in range(0, len(part), size)]
        generator.shuffle(groups)
    else:
        order.sort(key=lambda index: len(data[index][0]))
        groups = [order[i : i + size] for i in range(0, len(order), size)]
    for group in groups:
        lengths = [len(data[index][0]) for index in group]
        features = pad(torch.cat([data[index][0] for index in group]).float(), lengths)
        yield features, lengths, torch.tensor([data[index][1] for index in group])


def train_epoch(head, optimiser, data, size, generator):
    head.train()
    total = 0.0
    for features, lengths, labels in batches(data, size, generator):
        loss = nn.functional.binary_cross_entropy_with_logits(head(features, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item() * len(labels)
    return total / len(data)


@torch.inference_mode()
def evaluate(head, data, size):
    """Mean loss and accuracy."""
    head.eval()
    loss = correct = 0.0
    for features, lengths, labels in batches(data, size):
        logits = head(features, lengths)
        loss += nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum").item()
        correct += ((logits > 0) == (labels > 0.5)).sum().item()
    return loss / len(data), correct / len(data)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="a BERT folder")
    parser.add_argument("--data", type=Path, help="aclImdb folder or .tar.gz (default: TENON_IMDB)")
    for name in ("train", "valid", "test"):
        parser.add_argument(f"--{name}-limit", type=int, default=0, help="reviews, balanced (default: all)")
    parser.add_argument("--max-length", type=int, default=512, help="tokens of a review (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--lr", type=float, default=1e-3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return parser.parse_args()


def main():
    options = parse()
    torch.set_num_threads(report.threads())
    torch.manual_seed(options.seed)
    splits = load_splits(options)
    start = time.perf_counter()
    model, tokenizer = load_bert(options.encoder, attention="sdpa"), imdb.load_tokenizer(options.encoder)
    train, valid, test = (encode(model, tokenizer, part, options.max_length) for part in splits)
    tokens = sum(len(state) for part in (train, valid, test) for state, _ in part)
    print(json.dumps({"encoded_tokens": tokens, "seconds": time.perf_counter() - start}), flush=True)

    head, generator = Head(model.config.hidden_size), random.Random(options.seed)
    optimiser = torch.optim.Adam(head.parameters(), lr=options.lr)
    best_loss, best_state = float("inf"), None
    for epoch in range(options.epochs):
        epoch_start = time.perf_counter()
        train_loss = train_epoch(head, optimiser, train, options.batch_size, generator)
        seconds = time.perf_counter() - epoch_start
        valid_loss, accuracy = evaluate(head, valid, options.batch_size)
        line = {"epoch": epoch, "train_loss": train_loss, "valid_loss": valid_loss, "valid_accuracy": accuracy}
        print(json.dumps({**line, "seconds": seconds}), flush=True)
        if valid_loss < best_loss:
            best_loss, best_state = valid_loss, copy.deepcopy(head.state_dict())
    head.load_state_dict(best_state)
    test_loss, test_accuracy = evaluate(head, test, options.batch_size)
    total = time.perf_counter() - start
    print(json.dumps({"test_loss": test_loss, "test_accuracy": test_accuracy, "total_seconds": total}))


if __name__ == "__main__":
    main()
