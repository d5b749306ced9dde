"""An epoch of the sentiment model in PyTorch: a frozen BERT in every step, the published head, Adam. See worker.py.

padded: a GRU padded by hand, the faster way on a CPU; packed: pack_padded_sequence, the faster way with cuDNN.
"""

import torch
from safetensors.torch import load_file
from torch import nn

from bench_gru import packed
from common import attention_mask, load_bert, pad
from padded_gru import PaddedGRU
from worker import DTYPES, Work, arguments, serve


class Head(nn.Module):
    """`rnn` and `out` of the published model, without dropout, on padded features."""

    def __init__(self, tensors, by_hand):
        super().__init__()
        hidden_size, width = tensors["rnn.weight_hh_l0"].shape[1], tensors["rnn.weight_ih_l0"].shape[1]
        self.rnn = nn.GRU(width, hidden_size, 2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(2 * hidden_size, 1)
        self.to(tensors["rnn.weight_hh_l0"].device)
        self.by_hand = PaddedGRU(self.rnn) if by_hand else None

    def forward(self, features, lengths, last):
        output = self.by_hand(features, lengths) if self.by_hand else packed(self.rnn, features, lengths)
        hidden_size = output.shape[2] // 2
        state = output[torch.arange(len(lengths), device=output.device), last, :hidden_size]
        return self.out(torch.cat((state, output[:, 0, hidden_size:]), dim=1)).squeeze(1)


def make_work(options):
    tensors = {name: tensor.to(options.device) for name, tensor in load_file(options.input).items()}
    lengths = tensors["cu_seqlens"].diff().tolist()
    rows = tensors["input_ids"].long().split(lengths)
    bert = load_bert(options.model, DTYPES[options.dtype], "sdpa").to(options.device)
    order, size = tensors["order"].tolist(), int(tensors["batch_size"])
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith(("rnn.", "out."))}
    head = Head(weights, options.side == "padded")
    batches = []
    for begin in range(0, len(order), size):
        chosen = order[begin : begin + size]
        inside = [lengths[index] for index in chosen]
        ids = pad(torch.cat([rows[index] for index in chosen]), inside)
        last = torch.tensor(inside, device=options.device) - 1
        batches.append((ids, attention_mask(inside).to(options.device), inside, last, tensors["labels"][chosen]))
    bf16 = torch.autocast(options.device, torch.bfloat16, enabled=options.dtype == "bf16")

    def run():
        head.load_state_dict(weights)
        optimizer = torch.optim.Adam(head.parameters(), lr=1e-3, fused=True)
        losses = []
        for ids, mask, inside, last, labels in batches:
            with torch.inference_mode():
                features = bert(ids, attention_mask=mask).last_hidden_state
            with bf16:
                logits = head(features.clone(), inside, last)
            loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return losses

    computed = sum(ids.numel() for ids, *_ in batches)
    settings = {"attention": "sdpa", "optimizer": "Adam, fused", "autocast": options.dtype == "bf16"}
    return Work(run, lambda losses: {"losses": torch.stack(losses)}, sum(lengths), computed, settings=settings)


if __name__ == "__main__":
    serve(arguments(["padded", "packed"]), make_work)
