"""Dumps one run of a BERT in PyTorch for `tenon compare`: every operation's output, and all gradients of a loss.

MODEL is a HuggingFace folder, or one that `tenon train` wrote (then the head's GRU and linear map are dumped, too).
The texts are tokenized by the model's own tokenizer; --ids takes ids instead. The loss is the sum over some outputs of
output * weight, with the weights (drawn from --seed) in the file as loss.NAME. docs/comparing.md has the format.

Example: python tools/baseline/dump_encoder.py bert-base-uncased --out dump.safetensors "A fine film." "Dull."
"""

import argparse
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from common import attention_mask, cu_seqlens, load_bert, pack, pad, save
from tutorial import SentimentModel

TEXTS = [
    "This film is great.",
    "I went in expecting a gem and got a waste of an evening; the plot is dull and the dialogue is terrible.",
    "Not nearly as boring as I had been told, though the second half could lose some twenty minutes.",
]
# Modules of a BertModel whose outputs are operations; "sum" and "last" are made by hand.
OPERATIONS = (
    ".embeddings.LayerNorm",
    ".embeddings",
    ".self.query",
    ".self.key",
    ".self.value",
    ".attention.self",
    ".output.dense",
    ".output.LayerNorm",
    ".intermediate.dense",
    ".intermediate",
    ".pooler",
)


class Recorder:
    """The padded outputs of operations, with their gradients retained."""

    def __init__(self):
        self.outputs = {}

    def keep(self, name, tensor):
        if tensor.requires_grad:
            tensor.retain_grad()
        self.outputs[name] = tensor

    def attach(self, bert):
        for path, module in bert.named_modules(prefix="bert"):
            if path.endswith(OPERATIONS):
                module.register_forward_hook(
                    lambda _, __, output, path=path: self.keep(path, output[0] if isinstance(output, tuple) else output)
                )
            if path.endswith(".output"):  # with whatever the block does around its layer norm
                module.register_forward_hook(
                    lambda _, __, output, path=path: self.keep(path + ".LayerNorm", output)
                )
        bert.embeddings.LayerNorm.register_forward_pre_hook(lambda _, inputs: self.keep("bert.embeddings.sum", inputs[0]))


def gru_layer(rnn, index):
    """Layer `index` of a GRU as one of its own that shares the parameters, so that its output can be seen."""
    directions = 2 if rnn.bidirectional else 1
    width = rnn.input_size if index == 0 else directions * rnn.hidden_size
    layer = nn.GRU(width, rnn.hidden_size, bidirectional=rnn.bidirectional, batch_first=True)
    for name, _ in list(layer.named_parameters()):
        setattr(layer, name, getattr(rnn, name.replace("_l0", f"_l{index}")))
    return layer


def run_head(model, features, lengths, recorder):
    """The published head in evaluation mode, layer by layer."""
    x = features
    for index in range(model.rnn.num_layers):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, h_n = gru_layer(model.rnn, index)(packed)
        x = nn.utils.rnn.pad_packed_sequence(y, batch_first=True)[0]
        if index + 1 < model.rnn.num_layers:
            recorder.keep(f"rnn.l{index}", x)
    last = torch.cat(list(h_n), dim=1)
    recorder.keep("rnn.last", last)
    recorder.keep("out", model.out(last).squeeze(1))


def run_model(model, ids, lengths, recorder):
    """`model` has `bert`, and `rnn` and `out` where there is a head."""
    recorder.attach(model.bert)
    states = model.bert(ids, attention_mask=attention_mask(lengths)).last_hidden_state
    if hasattr(model, "rnn"):
        run_head(model, states, lengths, recorder)


def loss_weights(outputs, lengths, seed):
    """Weights of the loss: of the logits where there is a head, else of the last states and the pooler."""
    last = [name for name in outputs if name.endswith(".output.LayerNorm")][-1]
    names = ["out"] if "out" in outputs else [name for name in (last, "bert.pooler") if name in outputs]
    generator = torch.Generator().manual_seed(seed)
    weights = {name: torch.randn(outputs[name].shape, generator=generator) for name in names}
    for weight in weights.values():
        if weight.dim() == 3:
            weight *= attention_mask(lengths)[:, :, None]
    return weights


def dump(model, sequences, about, gradients=True, seed=1, run=run_model):
    """Tensors and metadata of one run. `sequences` are lists of ids; what stands on padding is dropped."""
    lengths = [len(sequence) for sequence in sequences]
    packed_ids = torch.tensor([token for sequence in sequences for token in sequence])
    recorder = Recorder()
    model.requires_grad_(gradients)
    with torch.set_grad_enabled(gradients):
        run(model, pad(packed_ids, lengths), lengths, recorder)
    rows = lambda tensor: pack(tensor, lengths) if tensor.dim() == 3 else tensor
    tensors = {"input_ids": packed_ids.to(torch.int32), "cu_seqlens": cu_seqlens(lengths)}
    tensors |= {name: rows(tensor) for name, tensor in recorder.outputs.items()}
    if gradients:
        weights = loss_weights(recorder.outputs, lengths, seed)
        sum((recorder.outputs[name] * weight).sum() for name, weight in weights.items()).backward()
        tensors |= {f"loss.{name}": rows(weight) for name, weight in weights.items()}
        seen = {name: tensor for name, tensor in recorder.outputs.items() if tensor.grad is not None}
        tensors |= {f"grad.{name}": rows(tensor.grad) for name, tensor in seen.items()}
        tensors |= {f"grad.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    return tensors, {"about": about}


class EncoderAlone(nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert


def load_run(folder, dtype):
    """The model of a folder that `tenon train` wrote."""
    sizes = json.loads((folder / "model.json").read_text())
    config = transformers.BertConfig.from_pretrained(folder / "encoder")
    state = load_file(folder / "model.safetensors")
    has_pooler = "bert.pooler.dense.weight" in state
    bert = transformers.BertModel(config, add_pooling_layer=has_pooler)
    model = SentimentModel(bert, sizes["hidden_size"], sizes["num_layers"], sizes["dropout"], sizes["bidirectional"])
    model.load_state_dict(state)
    return model.to(dtype).eval()


def load_model(folder, dtype, attention):
    if not (folder / "model.json").exists():
        return EncoderAlone(load_bert(folder, dtype, attention))
    model = load_run(folder, dtype)
    model.bert.set_attn_implementation(attention)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a HuggingFace BERT, or a folder that `tenon train` wrote")
    parser.add_argument("texts", nargs="*", help="default: three short reviews")
    parser.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    parser.add_argument("--ids", type=int, nargs="+", action="append", help="one sequence of ids, instead of texts")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "bfloat16"])
    parser.add_argument("--attention", default="eager", choices=["eager", "sdpa"], help="default: %(default)s")
    parser.add_argument("--no-gradients", action="store_true", help="the forward alone")
    parser.add_argument("--seed", type=int, default=1, help="of the loss's weights; default: %(default)s")
    options = parser.parse_intermixed_args()

    model = load_model(options.model, getattr(torch, options.dtype), options.attention)
    sequences = options.ids
    if not sequences:
        folder = options.model / "encoder" if (options.model / "model.json").exists() else options.model
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        longest = model.bert.config.max_position_embeddings
        sequences = tokenizer(options.texts or TEXTS, truncation=True, max_length=longest)["input_ids"]
    about = f"PyTorch {torch.__version__}, transformers {transformers.__version__}, {options.dtype}, {options.attention}"
    tensors, metadata = dump(model, sequences, about, not options.no_gradients, options.seed)
    save(options.out, tensors, metadata)
    print(f"{options.out}: {len(tensors)} tensors, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
