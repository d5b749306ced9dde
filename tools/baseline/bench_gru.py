"""A bidirectional GRU's forward and backward in PyTorch. See worker.py.

plain: nn.GRU on sequences of one length; packed: pack_padded_sequence; padded: padded by hand, each direction alone;
bucketed: padded by hand, sixteen sequences of like length at a time.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import pack, pad
from padded_gru import PaddedGRU
from worker import Work, arguments, load_input, serve

BUCKET = 16


def load_gru(tensors):
    """The nn.GRU whose weights stand among the tensors."""
    first = tensors["weight_ih_l0"]
    hidden_size, input_size = tensors["weight_hh_l0"].shape[1], first.shape[1]
    layers = sum(name.startswith("weight_ih") and not name.endswith("reverse") for name in tensors)
    rnn = nn.GRU(input_size, hidden_size, layers, bidirectional=True, batch_first=True)
    rnn.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith(("weight_", "bias_"))})
    return rnn.to(first.device, first.dtype)


def packed(rnn, x, lengths):
    output = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0]
    return pad_packed_sequence(output, batch_first=True)[0]


def make_work(options):
    tensors = load_input(options)
    lengths = tensors["cu_seqlens"].diff().tolist()
    rnn = load_gru(tensors)
    by_hand = PaddedGRU(rnn)
    forward = {
        "plain": lambda x, lengths: rnn(x)[0],
        "packed": lambda x, lengths: packed(rnn, x, lengths),
    }.get(options.side, by_hand)
    size = BUCKET if options.side == "bucketed" else len(lengths)
    order = sorted(range(len(lengths)), key=lambda index: lengths[index]) if options.side == "bucketed" else range(len(lengths))
    groups = [order[begin : begin + size] for begin in range(0, len(order), size)]
    parts = []
    for group in groups:
        inside = [lengths[index] for index in group]
        x, grad = (pad(torch.cat([tensors[name].split(lengths)[i] for i in group]), inside) for name in ("x", "grad_output"))
        parts.append((x.requires_grad_(), grad, inside))
    del tensors

    def run():
        rnn.zero_grad()
        outputs = []
        for x, grad_output, inside in parts:
            x.grad = None
            outputs.append(forward(x, inside))
            outputs[-1].backward(grad_output)
        return outputs

    def in_order(padded):
        rows = [row[: lengths[index]] for group, part in zip(groups, padded) for index, row in zip(group, part)]
        by_index = dict(zip((index for group in groups for index in group), rows))
        return torch.cat([by_index[index] for index in range(len(lengths))])

    def results(outputs):
        found = {"output": in_order(outputs), "grad.x": in_order([x.grad for x, _, _ in parts])}
        return found | {f"grad.{name}": parameter.grad for name, parameter in rnn.named_parameters()}

    computed = sum(len(lengths) * max(lengths) for _, _, lengths in parts)
    settings = {"sequences_in_bucket": BUCKET} if options.side == "bucketed" else {}
    computed = sum(lengths) if options.side == "packed" else computed
    return Work(run, results, sum(lengths), computed, settings=settings)


if __name__ == "__main__":
    serve(arguments(["plain", "packed", "padded", "bucketed"]), make_work)
