"""What the PyTorch side shares: packed and padded batches, BERT folders and deterministic safetensors files."""

from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
DTYPES = {"f32": torch.float32, "f64": torch.float64}


def cu_seqlens(lengths):
    """Offsets (B + 1) i32 of the sequences of a packed batch."""
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def pad(rows, lengths):
    """(T, ...) packed rows to a (B, longest, ...) batch with zeros behind each sequence."""
    return torch.nn.utils.rnn.pad_sequence(list(rows.split(list(lengths))), batch_first=True)


def pack(padded, lengths):
    """(B, longest, ...) back to (T, ...) rows; what stands behind a sequence is dropped."""
    return torch.cat([row[:length] for row, length in zip(padded, lengths)])


def attention_mask(lengths):
    """(B, longest) i64: 1 for a real token, 0 for padding."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def save(path, tensors, metadata=None):
    """Writes a safetensors file. One metadata entry at most: safetensors writes several in random order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata=metadata or {"torch": torch.__version__})


def load_bert(folder, dtype=torch.float32, attention="eager"):
    """The BertModel of a HuggingFace folder, in evaluation mode; a missing tensor ends the program."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model, report = transformers.BertModel.from_pretrained(
        folder, attn_implementation=attention, dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        raise SystemExit(f"{folder}: missing {sorted(report['missing_keys'])}")
    return model.eval()
