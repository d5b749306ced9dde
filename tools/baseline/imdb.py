"""The IMDB reviews (aclImdb, Maas et al. 2011) from a folder or its .tar.gz, and their token ids."""

import json
import os
import random
import tarfile
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer


def archive(path=None):
    path = path or os.environ.get("TENON_IMDB")
    if not path:
        raise SystemExit("no reviews: name aclImdb's folder or .tar.gz in TENON_IMDB or with --data")
    return Path(path)


def files(path):
    """("train/pos/0_9.txt", bytes) of every file of the corpus."""
    if path.is_dir():
        for file in path.rglob("*.txt"):
            yield file.relative_to(path).as_posix(), file.read_bytes()
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if member.isfile():
                yield member.name.partition("/")[2], tar.extractfile(member).read()


def read(path, split):
    """(text, label) of a split, "train" or "test", in the order of the files' names, the negative ones first."""
    found = {}
    for name, content in files(path):
        folder, _, file = name.rpartition("/")
        if folder in (f"{split}/neg", f"{split}/pos"):
            found[folder.endswith("pos"), file] = content.decode(errors="replace")
    return [(text, int(positive)) for (positive, _), text in sorted(found.items())]


def sample(path, count, seed=0):
    """Random test reviews, each on one line."""
    texts = [text.replace("\n", " ").replace("\r", " ") for text, _ in read(path, "test")]
    return random.Random(seed).sample(texts, count)


def load_tokenizer(folder):
    """HuggingFace's tokenizer of a model folder, without stored truncation and padding."""
    folder = Path(folder)
    if (folder / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        config = folder / "tokenizer_config.json"
        lowercase = json.loads(config.read_text()).get("do_lower_case", True) if config.exists() else True
        tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=lowercase)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def token_ids(tokenizer, texts, max_length):
    """[CLS] … [SEP] ids of each text, cut to `max_length` in all."""
    tokenizer.enable_truncation(max_length)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
