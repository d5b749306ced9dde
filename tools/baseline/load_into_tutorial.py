"""Loads a model that `tenon train` saved into the published nn.Module and compares the predictions.

`load_state_dict` is strict, so no name or shape may differ; the probabilities may by 1e-5. Exit 1 where they do.

Example: python tools/baseline/load_into_tutorial.py RUN
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

import imdb
import report
from tutorial import SentimentModel

LIMIT = 1e-5
TEXTS = [
    "This film is terrible",
    "This film is great",
    "I expected a dull evening, but the acting carried me through to a wonderful ending.",
    "Not bad at all; not good either.<br /><br />The music, though!",
    "x",
]


def model_folder(run):
    """The folder inside RUN that holds a BERT's config.json and the weights."""
    for weights in sorted(run.rglob("model.safetensors"), key=lambda path: len(path.parts)):
        for config in (weights.with_name("config.json"), *weights.parent.glob("*/config.json")):
            if config.exists() and json.loads(config.read_text()).get("model_type") == "bert":
                return weights, config.parent
    raise SystemExit(f"{run}: no model.safetensors beside the config.json of a BERT")


def load(weights, folder):
    state = load_file(weights)
    layers = sum(name.startswith("rnn.weight_hh") and not name.endswith("reverse") for name in state)
    bert = BertModel(BertConfig.from_json_file(folder / "config.json"))
    model = SentimentModel(bert, hidden_size=state["rnn.weight_hh_l0"].shape[1], layers=layers)
    model.load_state_dict(state)  # strict: every name and every shape
    return model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder that `tenon train` wrote")
    parser.add_argument("--tenon", help="the program (default: TENON_BIN, else the newest under build/)")
    options = parser.parse_args()

    weights, folder = model_folder(options.run)
    model, tokenizer = load(weights, folder), imdb.load_tokenizer(folder)
    command = [report.program(options.tenon), "predict", str(options.run), "--json", *TEXTS]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    worst = 0
    for text, line in zip(TEXTS, lines, strict=True):
        ids = imdb.token_ids(tokenizer, [text], model.bert.config.max_position_embeddings)[0]
        with torch.inference_mode():
            expected = model(torch.tensor([ids]), [len(ids)]).sigmoid().item()
        found = json.loads(line)["probability"]
        worst = max(worst, abs(found - expected))
        print(f"{found:.6f} tenon, {expected:.6f} PyTorch: {text}")
    print(f"largest difference {worst:.1e}")
    sys.exit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
