"""Fifty training steps of a tiny BERT, a two-layer bidirectional GRU and the head, with Tenon's own dropout masks.

Both sides start from the same weights, see the same batches and drop the same elements, so their losses can be compared
step by step: in fp64 (to rounding) and in fp32. `frozen` trains the head over a BERT in evaluation mode; `finetune`
trains everything with BERT's dropout on.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import BertModel
from transformers.models.bert import modeling_bert

import philox
from common import DTYPES, cu_seqlens, pad, save
from golden_bert import make_bert, vocabulary, write_folder
from tutorial import SentimentModel

SEED = 20240607 << 20 | 11  # uses both words of the key
STEPS, BATCH, SEQUENCES, HIDDEN = 50, 8, 40, 16


class PhiloxDropout(nn.Module):
    """Drops what Tenon drops at this path; `step` is the optimiser step, from 0."""

    step = 0

    def __init__(self, path, p):
        super().__init__()
        self.path, self.p = path, p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        if self.path.endswith("attention.self.dropout"):
            elements = philox.attention_elements(x.shape[0], x.shape[1], x.shape[2])
        else:  # (B, L, C), or (B, C) at position 0
            elements = philox.row_elements(x.shape[0], x.shape[1] if x.dim() == 3 else 1, x.shape[-1])
        kept = philox.kept(elements, SEED, PhiloxDropout.step, self.path, self.p)
        return x * torch.from_numpy(kept).reshape(x.shape).to(x.dtype) * (1 / (1 - self.p))


def attention(module, query, key, value, attention_mask, scaling, **_):
    """BERT's plain attention, but with `module.dropout` called as a module."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling + attention_mask
    weights = module.dropout(torch.softmax(scores, dim=-1))
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class GoldenModel(SentimentModel):
    """The published model, its dropouts replaced and its GRU run layer by layer so that the mask between is ours."""

    def __init__(self, bert):
        super().__init__(bert, hidden_size=HIDDEN)
        for path, module in list(self.named_modules()):
            if isinstance(module, nn.Dropout):
                self.set_submodule(path, PhiloxDropout(path, module.p))
        self.between_layers = PhiloxDropout("rnn.dropout_l0", self.rnn.dropout)

    def layer(self, index):
        """Layer `index` of `rnn` as a GRU of its own that shares the parameters."""
        width = self.rnn.input_size if index == 0 else 2 * HIDDEN
        layer = nn.GRU(width, HIDDEN, bidirectional=True, batch_first=True)
        for name, _ in list(layer.named_parameters()):
            setattr(layer, name, getattr(self.rnn, name.replace("_l0", f"_l{index}")))
        return layer

    def head(self, features, lengths):
        packed = pack_padded_sequence(features, lengths, batch_first=True, enforce_sorted=False)
        hidden = pad_packed_sequence(self.layer(0)(packed)[0], batch_first=True)[0]
        hidden = self.between_layers(hidden)
        packed = pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False)
        forward, backward = self.layer(1)(packed)[1]
        return self.out(self.dropout(torch.cat((forward, backward), dim=1))).squeeze(1)


def make_model():
    model = GoldenModel(make_bert(700, hidden_size=32, num_attention_heads=2, intermediate_size=37))
    generator = torch.Generator().manual_seed(701)
    with torch.no_grad():
        for parameter in [*model.rnn.parameters(), *model.out.parameters()]:
            parameter.copy_(0.25 * torch.randn(parameter.shape, generator=generator))
    return model


def make_batches():
    """50 batches of 8 of 40 ragged sequences; the label says whether the first half holds more of the common words."""
    generator = torch.Generator().manual_seed(702)
    words = len(vocabulary())
    lengths = torch.randint(1, 19, (SEQUENCES,), generator=generator)
    sequences = [torch.randint(1, words, (int(n),), generator=generator, dtype=torch.int32) for n in lengths]
    labels = torch.tensor([float(sequence.float().mean() > words / 2) for sequence in sequences])
    for _ in range(STEPS):
        chosen = torch.randperm(SEQUENCES, generator=generator)[:BATCH]
        yield [sequences[index] for index in chosen], labels[chosen]


def train(initial, batches, dtype, finetune):
    """Losses (50) and logits (50, 8)."""
    model = GoldenModel(BertModel(initial.bert.config, add_pooling_layer=True))
    model.load_state_dict(initial.state_dict())
    model.bert.set_attn_implementation("eager")
    model = model.to(dtype).train()
    model.bert.train(finetune).requires_grad_(finetune)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses, all_logits = [], []
    for step, (sequences, labels) in enumerate(batches):
        PhiloxDropout.step = step
        lengths = [len(sequence) for sequence in sequences]
        logits = model(pad(torch.cat(sequences).long(), lengths), lengths)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.to(dtype))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        all_logits.append(logits.detach())
    return {"losses": torch.stack(losses), "logits": torch.stack(all_logits)}


def batch_tensors(batches):
    for step, (sequences, labels) in enumerate(batches):
        yield f"batch.{step}.input_ids", torch.cat(sequences)
        yield f"batch.{step}.cu_seqlens", cu_seqlens([len(sequence) for sequence in sequences])
        yield f"batch.{step}.labels", labels


def write(out):
    modeling_bert.eager_attention_forward = attention
    model, batches = make_model(), list(make_batches())
    write_folder(out / "training", model.bert.config)
    shared = dict(model.state_dict()) | dict(batch_tensors(batches)) | {"seed": torch.tensor([SEED])}
    for mode in ("frozen", "finetune"):
        tensors = dict(shared)
        for prefix, dtype in DTYPES.items():
            result = train(model, batches, dtype, mode == "finetune")
            tensors |= {f"{prefix}.{name}": value for name, value in result.items()}
        losses, drift = tensors["f64.losses"], (tensors["f32.losses"] - tensors["f64.losses"]).abs().max()
        print(f"{mode}: loss {losses[0]:.4f} to {losses[-1]:.4f}, fp32 against fp64 {drift:.1e}")
        save(out / "training" / f"{mode}.safetensors", tensors)
