"""The PyTorch sides of a bidirectional GRU's forward and backward. See worker.py.

plain: nn.GRU on sequences of one length; packed: pack_padded_sequence; padded: padded by hand, each direction alone.
"""

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from common import pack, pad, save
from padded_gru import PaddedGRU
from worker import arguments, serve


def load_gru(tensors):
    """The nn.GRU whose weights stand among the tensors."""
    hidden_size, input_size = tensors["weight_hh_l0"].shape[1], tensors["weight_ih_l0"].shape[1]
    layers = sum(name.startswith("weight_ih") and not name.endswith("reverse") for name in tensors)
    rnn = nn.GRU(input_size, hidden_size, layers, bidirectional=True, batch_first=True)
    rnn.load_state_dict({name: tensor for name, tensor in tensors.items() if name.startswith(("weight_", "bias_"))})
    return rnn


def packed(rnn, x, lengths):
    output = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0]
    return pad_packed_sequence(output, batch_first=True)[0]


def main():
    options = arguments(["plain", "packed", "padded"])
    torch.set_num_threads(options.threads)
    tensors = load_file(options.input)
    lengths = tensors["cu_seqlens"].diff().tolist()
    rnn = load_gru(tensors)
    by_hand = PaddedGRU(rnn)
    forward = {
        "plain": lambda x: rnn(x)[0],
        "packed": lambda x: packed(rnn, x, lengths),
        "padded": lambda x: by_hand(x, lengths),
    }[options.side]
    x = pad(tensors.pop("x"), lengths).requires_grad_()
    grad_output = pad(tensors.pop("grad_output"), lengths)

    def work():
        rnn.zero_grad()
        x.grad = None
        output = forward(x)
        output.backward(grad_output)
        return output

    def save_results(output, path):
        results = {"output": pack(output, lengths), "grad.x": pack(x.grad, lengths)}
        save(path, results | {f"grad.{name}": parameter.grad for name, parameter in rnn.named_parameters()})

    serve(options.side, options.threads, work, save_results)


if __name__ == "__main__":
    main()
