"""Goldens of single operations: GRU, losses, optimisers on prescribed gradients, clipping, GELU, layer norm, Philox."""

import functools

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import philox
from common import DTYPES, cu_seqlens, pack, pad, save

GRU_LENGTHS = [5, 1, 9, 3, 12, 7]  # unsorted, one of a single step
STEPS = 10
OPTIMISERS = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3),
    "adam_l2": lambda parameters: torch.optim.Adam(parameters, lr=1e-3, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1),
    "adamw_betas": lambda parameters: torch.optim.AdamW(
        parameters, lr=3e-2, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.01
    ),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e-2),
    "sgd_momentum": lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9, weight_decay=0.01),
}


def both(function, inputs):
    """Runs `function` on the floating inputs in fp32 and in fp64; returns `f32.NAME` and `f64.NAME`."""
    results = {}
    for prefix, dtype in DTYPES.items():
        cast = {
            name: value.to(dtype, copy=True) if value.is_floating_point() else value for name, value in inputs.items()
        }
        results |= {f"{prefix}.{name}": value for name, value in function(**cast).items()}
    return results


def gradients(output, grad_output, **leaves):
    """`grad.NAME` of each leaf for a given gradient of the output."""
    found = torch.autograd.grad(output, list(leaves.values()), grad_output)
    return {f"grad.{name}": grad for name, grad in zip(leaves, found)}


def run_gru(layer, inputs, dtype):
    layer = layer.to(dtype)
    layer.zero_grad()
    x = inputs["x"].detach().to(dtype, copy=True).requires_grad_()
    packed = pack_padded_sequence(pad(x, GRU_LENGTHS), GRU_LENGTHS, batch_first=True, enforce_sorted=False)
    output, h_n = layer(packed)
    output = pack(pad_packed_sequence(output, batch_first=True)[0], GRU_LENGTHS)
    loss = (output * inputs["grad_output"].to(dtype)).sum() + (h_n * inputs["grad_h_n"].to(dtype)).sum()
    loss.backward()
    result = {"output": output, "h_n": h_n, "grad.x": x.grad}
    return result | {f"grad.{name}": parameter.grad for name, parameter in layer.named_parameters()}


def write_gru(path, layers, bidirectional):
    generator = torch.Generator().manual_seed(200 + layers)
    layer = nn.GRU(24, 16, layers, bidirectional=bidirectional, batch_first=True)
    directions = 2 if bidirectional else 1
    rows, batch = sum(GRU_LENGTHS), len(GRU_LENGTHS)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    inputs = {
        "x": torch.randn(rows, 24, generator=generator),
        "cu_seqlens": cu_seqlens(GRU_LENGTHS),
        "grad_output": torch.randn(rows, 16 * directions, generator=generator),
        "grad_h_n": torch.randn(layers * directions, batch, 16, generator=generator),
    }
    tensors = inputs | {name: value.clone() for name, value in layer.state_dict().items()}
    for prefix, dtype in DTYPES.items():
        tensors |= {f"{prefix}.{name}": value.clone() for name, value in run_gru(layer, inputs, dtype).items()}
    save(path, tensors)


def bce(logits, targets):
    logits.requires_grad_()
    loss = functional.binary_cross_entropy_with_logits(logits, targets)
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return {"loss": loss, "loss_each": each} | gradients(loss, None, logits=logits)


def cross_entropy(logits, targets):
    logits.requires_grad_()
    loss = functional.cross_entropy(logits, targets.long())
    each = functional.cross_entropy(logits, targets.long(), reduction="none")
    return {"loss": loss, "loss_each": each} | gradients(loss, None, logits=logits)


def write_losses(out):
    extreme = torch.tensor([0.0, -0.0, 1e-8, -1e-8, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 90.0, -90.0, 1000.0, -1000.0])
    logits = extreme.repeat(3)
    targets = torch.tensor([0.0, 1.0, 0.3]).repeat_interleave(len(extreme))
    inputs = {"logits": logits, "targets": targets}
    save(out / "bce_with_logits.safetensors", inputs | both(bce, inputs))

    generator = torch.Generator().manual_seed(300)
    logits = 3 * torch.randn(9, 5, generator=generator)
    logits[0] = torch.tensor([1e4, -1e4, 0, 1, 2])
    logits[1] = 7.0
    inputs = {"logits": logits, "targets": torch.randint(0, 5, (9,), generator=generator, dtype=torch.int32)}
    save(out / "cross_entropy.safetensors", inputs | both(cross_entropy, inputs))


def run_optimiser(make, weight, bias, **grads):
    weight, bias = (nn.Parameter(value.clone()) for value in (weight, bias))
    optimiser = make([weight, bias])
    history = {"weight": [], "bias": []}
    for step in range(STEPS):
        weight.grad, bias.grad = grads["grad_weight"][step].clone(), grads["grad_bias"][step].clone()
        optimiser.step()
        history["weight"].append(weight.detach().clone())
        history["bias"].append(bias.detach().clone())
    return {name: torch.stack(values) for name, values in history.items()}


def write_optimisers(out):
    generator = torch.Generator().manual_seed(400)
    scales = torch.logspace(-9, 3, 33)  # gradients far below and far above epsilon
    inputs = {
        "weight": torch.randn(5, 7, generator=generator),
        "bias": torch.randn(33, generator=generator),
        "grad_weight": torch.randn(STEPS, 5, 7, generator=generator),
        "grad_bias": scales * torch.randn(STEPS, 33, generator=generator),
    }
    inputs["grad_weight"][:, 0] = 0
    tensors = dict(inputs)
    for name, make in OPTIMISERS.items():
        result = both(functools.partial(run_optimiser, make), inputs)
        tensors |= {f"{name}.{key}": value for key, value in result.items()}
    save(out / "optimisers.safetensors", tensors)


def clip(weight, bias):
    result = {}
    for max_norm in (1.0, 100.0):
        parameters = [nn.Parameter(torch.zeros_like(value)) for value in (weight, bias)]
        parameters[0].grad, parameters[1].grad = weight.clone(), bias.clone()
        result["norm"] = nn.utils.clip_grad_norm_(parameters, max_norm)
        result |= {f"max_norm_{max_norm:.0f}.{name}": p.grad for name, p in zip(("weight", "bias"), parameters)}
    return result


def gelu(x, grad_output):
    result = {}
    for name, approximate in (("erf", "none"), ("tanh", "tanh")):
        leaf = x.clone().requires_grad_()
        y = functional.gelu(leaf, approximate=approximate)
        found = {"output": y} | gradients(y, grad_output, x=leaf)
        result |= {f"{name}.{key}": value for key, value in found.items()}
    return result


def layer_norm(x, weight, bias, grad_output):
    leaves = {"x": x.requires_grad_(), "weight": weight.requires_grad_(), "bias": bias.requires_grad_()}
    y = functional.layer_norm(x, weight.shape, weight, bias, eps=1e-12)
    return {"output": y} | gradients(y, grad_output, **leaves)


def write_small(out):
    generator = torch.Generator().manual_seed(500)
    inputs = {"weight": torch.randn(5, 7, generator=generator), "bias": torch.randn(33, generator=generator)}
    save(out / "gradient_clipping.safetensors", inputs | both(clip, inputs))

    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([0.0, -0.0, 1e-6, -1e-6, 50.0, -50.0, 1e4, -1e4])])
    inputs = {"x": x, "grad_output": torch.randn(x.shape, generator=generator)}
    save(out / "gelu.safetensors", inputs | both(gelu, inputs))

    x = torch.randn(7, 33, generator=generator)
    x[1] = x[1] * 0.5 + 8  # a mean well above the spread
    x[2] = x[2] * 1e4
    inputs = {
        "x": x,
        "weight": 1 + 0.2 * torch.randn(33, generator=generator),
        "bias": torch.randn(33, generator=generator),
        "grad_output": torch.randn(7, 33, generator=generator),
    }
    save(out / "layer_norm.safetensors", inputs | both(layer_norm, inputs))


def write_philox(out):
    counters, keys, results = (torch.tensor(words) for words in zip(*philox.KNOWN_ANSWERS))
    seed, step, p = 0x123456789ABCDEF0, 7, 0.25
    paths = ["rnn.dropout_l0", "dropout", "bert.encoder.layer.0.attention.self.dropout"]
    far = torch.tensor(
        [0, 3, (999 << 40) | (511 << 20) | 3071, (127 << 44) | (11 << 32) | (511 << 16) | 510, 2**63 - 1]
    )
    rows, attention = philox.row_elements(3, 5, 33), philox.attention_elements(3, 2, 5)
    tensors = {
        "counter": counters,
        "key": keys,
        "result": results,
        "seed": torch.tensor([seed]),
        "step": torch.tensor([step]),
        "operation_hash": torch.tensor([philox.operation_hash(path) for path in paths]),
        "element": far,
        "bits": torch.from_numpy(philox.bits(far.numpy(), seed, step, paths[0])),
        "rows.bits": torch.from_numpy(philox.bits(rows, seed, step, paths[0])),
        "rows.kept": torch.from_numpy(philox.kept(rows, seed, step, paths[0], p)).to(torch.uint8),
        "vector.kept": torch.from_numpy(philox.kept(rows[:, :1], seed, step, paths[1], p)).to(torch.uint8)[:, 0],
        "attention.kept": torch.from_numpy(philox.kept(attention, seed, step, paths[2], p)).to(torch.uint8),
    }
    save(out / "philox.safetensors", tensors)


def write(out):
    write_gru(out / "gru_bidirectional.safetensors", layers=2, bidirectional=True)
    write_gru(out / "gru_unidirectional.safetensors", layers=1, bidirectional=False)
    write_losses(out)
    write_optimisers(out)
    write_small(out)
    write_philox(out)
