"""The PyTorch and onnxruntime sides of the BERT forward: padded and masked where the lengths differ. See worker.py."""

import warnings

import torch
from safetensors.torch import load_file

from common import ROOT, attention_mask, load_bert, pack, pad, save
from worker import arguments, serve


class Forward(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        return self.bert(input_ids, attention_mask=attention_mask).last_hidden_state


def onnx_file(folder):
    """The model as ONNX, exported once for each state of the folder's weights."""
    weights = next(folder.glob("*.safetensors"))
    path = ROOT / "build" / "onnx" / f"{folder.resolve().name}-{weights.stat().st_mtime_ns}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        ids = torch.ones(2, 8, dtype=torch.long)
        names = ["input_ids", "attention_mask"]
        sizes = {name: {0: "batch", 1: "length"} for name in names}
        model = Forward(load_bert(folder))
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, ids),
            path,
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes=sizes,
            opset_version=17,
            dynamo=False,
        )
    return path


def pytorch(options, ids, mask):
    model = load_bert(options.model, attention="sdpa")
    ragged = bool((mask == 0).any())

    @torch.inference_mode()
    def work():
        return model(ids, attention_mask=mask if ragged else None).last_hidden_state

    return work


def onnxruntime(options, ids, mask):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(onnx_file(options.model), settings, providers=["CPUExecutionProvider"])
    inputs = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    return lambda: torch.from_numpy(session.run(None, inputs)[0])


def main():
    options = arguments(["pytorch", "onnxruntime"])
    torch.set_num_threads(options.threads)
    batch = load_file(options.input)
    lengths = batch["cu_seqlens"].diff().tolist()
    ids, mask = pad(batch["input_ids"].long(), lengths), attention_mask(lengths)
    work = {"pytorch": pytorch, "onnxruntime": onnxruntime}[options.side](options, ids, mask)
    serve(
        options.side,
        options.threads,
        work,
        lambda states, path: save(path, {"last_hidden_state": pack(states, lengths)}),
    )


if __name__ == "__main__":
    main()
