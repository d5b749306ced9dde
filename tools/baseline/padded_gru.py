"""nn.GRU on a padded batch with exact results: each direction runs alone, the reverse one over flipped sequences.

PyTorch's own way for ragged batches, pack_padded_sequence, is several times slower on a CPU.
"""

import torch
from torch import nn


def flip_index(lengths, device="cpu"):
    """(B, longest): where a sequence's rows come from when it is read backwards; padding stays in its place."""
    position = torch.arange(max(lengths), device=device)
    length = torch.tensor(lengths, device=device)[:, None]
    return torch.where(position < length, length - 1 - position, position)


class PaddedGRU(nn.Module):
    """Runs the layers of a bidirectional, batch-first nn.GRU; its parameters stay those of the GRU."""

    def __init__(self, rnn):
        super().__init__()
        self.dropout = nn.Dropout(rnn.dropout)
        numbers = range(rnn.num_layers)
        self.layers = [[self.direction(rnn, layer, suffix) for suffix in ("", "_reverse")] for layer in numbers]

    @staticmethod
    def direction(rnn, layer, suffix):
        width = rnn.input_size if layer == 0 else 2 * rnn.hidden_size
        one = nn.GRU(width, rnn.hidden_size, batch_first=True)
        for name, _ in list(one.named_parameters()):
            setattr(one, name, getattr(rnn, name.replace("_l0", f"_l{layer}{suffix}")))
        return one

    def forward(self, x, lengths):
        """(B, L, I) to (B, L, 2H); what stands behind a sequence's end has no meaning."""
        index = flip_index(lengths, x.device)[:, :, None]
        for number, (forward, backward) in enumerate(self.layers):
            x = x if number == 0 else self.dropout(x)
            flipped = backward(x.gather(1, index.expand_as(x)))[0]
            x = torch.cat((forward(x)[0], flipped.gather(1, index.expand_as(flipped))), dim=2)
        return x
