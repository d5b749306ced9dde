"""Goldens of `tenon compare`: a tiny sentiment model as `tenon train` would save it, and oracles of it.

`unbroken` is the model; every other oracle is of the same weights in a model with one mistake, as people make them.
"""

import copy
import json

import torch
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence

import dump_encoder
from common import attention_mask, save
from golden_bert import make_bert, write_folder
from tutorial import SentimentModel

HIDDEN = 6
SEQUENCES = [[2, 31, 47, 5, 3], [2, 60, 3], [2, 77, 12, 90, 41, 3]]


def make_model():
    bert = make_bert(800, hidden_size=12, num_attention_heads=2, intermediate_size=17)
    model = SentimentModel(bert, hidden_size=HIDDEN)
    generator = torch.Generator().manual_seed(801)
    with torch.no_grad():
        for parameter in [*model.rnn.parameters(), *model.out.parameters()]:
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def write_run(folder, model):
    write_folder(folder / "encoder", model.bert.config)
    save(folder / "model.safetensors", dict(model.state_dict()))
    about = {"hidden_size": HIDDEN, "num_layers": 2, "bidirectional": True, "dropout": 0.25, "max_length": 24}
    about |= {"pad_batches": False, "labels": ["negative", "positive"]}
    folder.joinpath("model.json").write_text(json.dumps(about, indent=2) + "\n")


def layers(model):
    return model.bert.encoder.layer


def gelu_tanh(model):
    for layer in layers(model):
        layer.intermediate.intermediate_act_fn = nn.GELU(approximate="tanh")


def relu(model):
    for layer in layers(model):
        layer.intermediate.intermediate_act_fn = nn.ReLU()


def eps(model):
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5


def transposed_weight(model):
    query = layers(model)[1].attention.self.query
    query.weight = nn.Parameter(query.weight.t().contiguous())


def swapped_query_and_key(model):
    attention = layers(model)[1].attention.self
    attention.query, attention.key = attention.key, attention.query


def weights_of_another_layer(model):
    layers(model)[1].intermediate.dense = copy.deepcopy(layers(model)[0].intermediate.dense)


def missing_bias(model):
    nn.init.zeros_(layers(model)[0].output.dense.bias)


def no_scale(model):
    for layer in layers(model):
        layer.attention.self.scaling = 1.0


def heads(model):
    for layer in layers(model):
        attention = layer.attention.self
        attention.num_attention_heads, attention.attention_head_size, attention.scaling = 3, 4, 4**-0.5


def no_position(model):
    nn.init.zeros_(model.bert.embeddings.position_embeddings.weight)


def no_token_type(model):
    nn.init.zeros_(model.bert.embeddings.token_type_embeddings.weight)


def roberta_positions(model):
    table = model.bert.embeddings.position_embeddings
    table.register_forward_pre_hook(lambda _, inputs: (inputs[0] + 2,))


def dropped_residual(model):
    block = layers(model)[1].attention.output
    block.forward = lambda hidden, residual: block.LayerNorm(block.dense(hidden))


def detached_residual(model):
    block = layers(model)[1].output
    block.forward = lambda hidden, residual: block.LayerNorm(block.dense(hidden) + residual.detach())


def residual_after_norm(model):
    block = layers(model)[0].output
    block.forward = lambda hidden, residual: block.LayerNorm(block.dense(hidden)) + residual


def pre_norm(model):
    for layer in layers(model):

        def forward(x, attention_mask=None, *_, layer=layer, **__):
            block = layer.attention
            x = x + block.output.dense(block.self(block.output.LayerNorm(x), attention_mask)[0])
            return x + layer.output.dense(layer.intermediate(layer.output.LayerNorm(x)))

        layer.forward = forward


def training_mode(model):
    torch.manual_seed(802)
    model.bert.train()


def tf32(x):
    """The nearest number with 10 bits of mantissa, as a tensor core reads it."""
    return ((x.detach().contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def tf32_products(model):
    for module in model.bert.modules():
        if isinstance(module, nn.Linear):
            module.forward = lambda x, m=module: nn.functional.linear(tf32(x), tf32(m.weight), m.bias)


def reorder_gates(model, change):
    with torch.no_grad():
        for parameter in model.rnn.parameters():
            parameter.copy_(torch.cat(change(*parameter.chunk(3))))


def gate_order(model):
    reorder_gates(model, lambda r, z, n: (z, r, n))


def update_gate(model):
    reorder_gates(model, lambda r, z, n: (r, -z, n))


def missing_recurrent_bias(model):
    for name, parameter in model.rnn.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.zeros_(parameter)


def run_without_mask(model, ids, lengths, recorder):
    recorder.attach(model.bert)
    states = model.bert(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    dump_encoder.run_head(model, states, lengths, recorder)


def run_causal(model, ids, lengths, recorder):
    recorder.attach(model.bert)
    seen = torch.ones(ids.shape[1], ids.shape[1]).tril().bool() & attention_mask(lengths)[:, None, :].bool()
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    states = model.bert(ids, attention_mask=mask).last_hidden_state
    dump_encoder.run_head(model, states, lengths, recorder)


def run_in_bf16(model, ids, lengths, recorder):
    recorder.attach(model.bert)
    with torch.autocast("cpu", torch.bfloat16):
        states = model.bert(ids, attention_mask=attention_mask(lengths)).last_hidden_state
    dump_encoder.run_head(model, states.float(), lengths, recorder)


def run_pooling_the_last(model, ids, lengths, recorder):
    last = torch.tensor(lengths) - 1
    pooler = model.bert.pooler
    pooler.forward = lambda states: pooler.activation(pooler.dense(states[torch.arange(len(lengths)), last]))
    dump_encoder.run_model(model, ids, lengths, recorder)


def run_gru_over_padding(model, ids, lengths, recorder):
    recorder.attach(model.bert)
    states = model.bert(ids, attention_mask=attention_mask(lengths)).last_hidden_state
    states = states * attention_mask(lengths)[:, :, None]
    dump_encoder.run_head(model, states, [ids.shape[1]] * len(lengths), recorder)


def run_taking_the_last_state(model, ids, lengths, recorder):
    """What output[:, -1] gives: of the reverse direction the state after one token."""
    dump_encoder.run_model(model, ids, lengths, recorder)
    x = nn.utils.rnn.pack_padded_sequence(recorder.outputs["rnn.l0"], lengths, batch_first=True, enforce_sorted=False)
    y = pad_packed_sequence(dump_encoder.gru_layer(model.rnn, 1)(x)[0], batch_first=True)[0]
    last = y[torch.arange(len(lengths)), torch.tensor(lengths) - 1]
    recorder.keep("rnn.last", last)
    recorder.keep("out", model.out(last).squeeze(1))


def reset_before_product(cell, x, h):
    """A GRU's step as many write it by hand: the reset gate inside of the product with the state."""
    r_in, z_in, n_in = nn.functional.linear(x, cell.weight_ih_l0, cell.bias_ih_l0).chunk(3)
    (w_r, w_z, w_n), (b_r, b_z, b_n) = cell.weight_hh_l0.chunk(3), cell.bias_hh_l0.chunk(3)
    r, z = torch.sigmoid(r_in + w_r @ h + b_r), torch.sigmoid(z_in + w_z @ h + b_z)
    return (1 - z) * torch.tanh(n_in + w_n @ (r * h) + b_n) + z * h


def run_resetting_first(model, ids, lengths, recorder):
    """Only the lower layer is that wrong; what follows it is as usual."""
    dump_encoder.run_model(model, ids, lengths, recorder)
    states, layer = recorder.outputs["bert.encoder.layer.1.output.LayerNorm"], dump_encoder.gru_layer(model.rnn, 0)
    reverse = nn.GRU(layer.input_size, HIDDEN)
    for name, _ in list(reverse.named_parameters()):
        setattr(reverse, name, getattr(layer, name + "_reverse"))
    y = torch.zeros(*states.shape[:2], 2 * HIDDEN)
    for sequence, length in enumerate(lengths):
        for direction, (cell, order) in enumerate([(layer, range(length)), (reverse, reversed(range(length)))]):
            h = torch.zeros(HIDDEN)
            for position in order:
                h = reset_before_product(cell, states[sequence, position], h)
                y[sequence, position, direction * HIDDEN : (direction + 1) * HIDDEN] = h
    recorder.keep("rnn.l0", y)


BROKEN = [gelu_tanh, relu, eps, transposed_weight, swapped_query_and_key, weights_of_another_layer, missing_bias]
BROKEN += [no_scale, heads, no_position, no_token_type, roberta_positions, dropped_residual, residual_after_norm]
BROKEN += [pre_norm, training_mode, tf32_products, gate_order, update_gate, missing_recurrent_bias]
RUNS = {
    "no_mask": run_without_mask,
    "causal": run_causal,
    "bf16": run_in_bf16,
    "pooler_of_last_token": run_pooling_the_last,
    "gru_over_padding": run_gru_over_padding,
    "reverse_state_of_last_token": run_taking_the_last_state,
    "reset_before_product": run_resetting_first,
}


def write(out):
    model = make_model()
    folder = out / "compare"
    write_run(folder / "run", model)

    def write_oracle(name, change=lambda model: None, run=dump_encoder.run_model, gradients=False, ids=SEQUENCES):
        broken = copy.deepcopy(model)
        broken.bert.set_attn_implementation("eager")
        change(broken)
        tensors, _ = dump_encoder.dump(broken, ids, "", gradients, 803, run)
        save(folder / f"{name}.safetensors", tensors)
        return tensors

    tensors = write_oracle("unbroken", gradients=True)
    write_oracle("detached_residual", detached_residual, gradients=True)
    # PyTorch gives the row of [PAD] no gradient, even where it stands among the real tokens.
    write_oracle("padding_row", gradients=True, ids=[[2, 31, 0, 5, 3], [2, 60, 3]])
    halved = {name: tensor / 2 if name.startswith("grad.") else tensor for name, tensor in tensors.items()}
    save(folder / "mean_loss.safetensors", halved)
    for change in BROKEN:
        write_oracle(change.__name__, change)
    for name, run in RUNS.items():
        write_oracle(name, run=run)
