"""Goldens of tiny BERTs: four folders as HuggingFace and PyTorch wrote them over the years, and what each computes."""

import json

import torch
from transformers import BertConfig, BertModel

from common import DTYPES, attention_mask, cu_seqlens, load_bert, pack, pad, save

LENGTHS = [1, 7, 5, 12]
WORDS = """the a film movie plot actor scene story was is not very good great bad terrible boring never ever
but and it this that with of i loved hated more than funny dull music ending acting again all one time""".split()
CONFIGS = {
    "bert_gelu": dict(
        hidden_size=32, num_attention_heads=2, intermediate_size=37, num_hidden_layers=3, hidden_act="gelu"
    ),
    "bert_gelu_new": dict(hidden_size=48, num_attention_heads=4, intermediate_size=64, hidden_act="gelu_new"),
    "bert_relu": dict(
        hidden_size=30, num_attention_heads=2, intermediate_size=37, hidden_act="relu", layer_norm_eps=1e-5
    ),
    "bert_legacy": dict(hidden_size=24, num_attention_heads=3, intermediate_size=41, hidden_act="gelu"),
}


def vocabulary():
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1) if chr(code) not in WORDS]
    pieces = ["##" + chr(code) for code in range(ord("a"), ord("z") + 1)] + ["##s", "##ed", "##ing"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "!", "?", *letters, *pieces, *WORDS]
    return list(dict.fromkeys(words))


def write_folder(folder, config):
    """config.json and vocab.txt: what every form of the weights shares."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    config = {key: value for key, value in config.to_diff_dict().items() if key != "transformers_version"}
    config = {"architectures": ["BertModel"], "model_type": "bert", **config}
    folder.joinpath("config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def make_bert(seed, **sizes):
    """A BERT whose every weight matters: HuggingFace's own start has zero biases and an almost uniform attention."""
    sizes = {"num_hidden_layers": 2, "layer_norm_eps": 1e-12, **sizes}
    model = BertModel(BertConfig(vocab_size=len(vocabulary()), max_position_embeddings=24, **sizes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            spread = 0.3 if parameter.dim() == 2 else 0.1
            parameter.copy_(spread * noise + (1 if name.endswith("LayerNorm.weight") else 0))
    return model


def masked_language_names(state):
    """The names of a checkpoint of 2018: `bert.` before all, gamma and beta, the head of the pretraining, a buffer."""
    old = {}
    for name, tensor in state.items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        old["bert." + name] = tensor
    hidden = state["pooler.dense.bias"].numel()
    old["bert.embeddings.position_ids"] = torch.arange(24)[None]
    old["cls.predictions.bias"] = torch.zeros(len(vocabulary()))
    old["cls.seq_relationship.weight"] = torch.zeros(2, hidden)
    return old


def strided(state):
    """The same values with every query matrix stored transposed, and all biases of the attention in one storage."""
    biases = [name for name in state if ".attention.self." in name and name.endswith("bias")]
    together = torch.cat([state[name] for name in biases])
    state = {name: tensor.t().contiguous().t() if "query.weight" in name else tensor for name, tensor in state.items()}
    return {**state, **dict(zip(biases, together.chunk(len(biases))))}


def save_weights(folder, name, state):
    if name == "bert_gelu":
        save(folder / "model.safetensors", state, {"format": "pt"})
    elif name == "bert_gelu_new":
        save(folder / "model.safetensors", masked_language_names(state), {"format": "pt"})
    elif name == "bert_relu":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        torch.save(strided(state), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def golden(model, batch):
    """Packed hidden states, pooled output, loss and gradients of one model on one batch."""
    output = model(
        pad(batch["input_ids"].long(), LENGTHS), attention_mask=attention_mask(LENGTHS), output_hidden_states=True
    )
    dtype = output.last_hidden_state.dtype
    states = [pack(state, LENGTHS) for state in output.hidden_states]
    loss = (states[-1] * batch["grad_output"].to(dtype)).sum()
    loss = loss + (output.pooler_output * batch["grad_pooled"].to(dtype)).sum()
    loss.backward()
    result = {f"hidden_states.{index}": state for index, state in enumerate(states)}
    result |= {"pooler_output": output.pooler_output, "loss": loss}
    return result | {f"grad.{name}": parameter.grad for name, parameter in model.named_parameters()}


def write(out):
    for seed, (name, sizes) in enumerate(CONFIGS.items()):
        model = make_bert(seed, **sizes)
        hidden = model.config.hidden_size
        write_folder(out / name, model.config)
        save_weights(out / name, name, dict(model.state_dict()))
        generator = torch.Generator().manual_seed(100 + seed)
        tensors = {
            # Id 0 is left out: PyTorch gives the row of the padding token no gradient.
            "input_ids": torch.randint(1, len(vocabulary()), (sum(LENGTHS),), generator=generator, dtype=torch.int32),
            "cu_seqlens": cu_seqlens(LENGTHS),
            "grad_output": torch.randn(sum(LENGTHS), hidden, generator=generator),
            "grad_pooled": torch.randn(len(LENGTHS), hidden, generator=generator),
        }
        for prefix, dtype in DTYPES.items():
            reference = BertModel(model.config).eval().to(dtype)
            reference.set_attn_implementation("eager")
            reference.load_state_dict(model.state_dict())
            result = golden(reference, tensors)
            tensors |= {f"{prefix}.{key}": value for key, value in result.items()}
        save(out / name / "golden.safetensors", tensors)
        check_folder(out / name, model)


def check_folder(folder, model):
    """The folder as it was written loads into HuggingFace's class with the same values."""
    loaded = load_bert(folder).state_dict()
    for name, tensor in model.state_dict().items():
        if not torch.equal(loaded[name], tensor):
            raise AssertionError(f"{folder}: {name} does not survive saving")
