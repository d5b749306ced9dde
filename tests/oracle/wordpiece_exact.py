"""WordPiece against HuggingFace `tokenizers`: no difference on 50,000 IMDB reviews and on every code point.

Usage: wordpiece_exact.py WORDPIECE_DUMP --venv DIR. Installs `tokenizers` in the virtual environment $TENON_VENV, else
DIR, where it is missing. Where that fails, or without the shared data ($TENON_SHARED_DATA), the test skips: status 77.
"""
import argparse
import itertools
import json
import os
import random
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PIN = "tokenizers>=0.23,<0.24"
SKIP = 77
ROOT = Path(__file__).resolve().parents[2]


def skip(reason):
    print(f"SKIPPED: wordpiece_exact: {reason}")
    sys.exit(SKIP)


def enter_venv(venv):
    """Goes on in a Python that has `tokenizers`."""
    try:
        import tokenizers
        if tokenizers.__version__.startswith("0.23."):
            return
    except ImportError:
        pass
    python = venv / "bin" / "python"
    if os.environ.get("TENON_IN_VENV"):
        skip(f"{venv} has no tokenizers 0.23")
    if not python.exists() and subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
        skip(f"no virtual environment can be made at {venv}")
    has = [python, "-c", "import tokenizers as t; assert t.__version__.startswith('0.23.')"]
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "20", PIN]
    if subprocess.run(has, stderr=subprocess.DEVNULL).returncode and subprocess.run(install).returncode:
        skip(f"pip cannot install {PIN}")
    os.environ["TENON_IN_VENV"] = "1"
    os.execv(python, [str(python), *sys.argv])


def shared_data():
    data = Path(os.environ.get("TENON_SHARED_DATA", ROOT / ".." / "shared" / "data"))
    for name in ("bert-base-uncased/vocab.txt", "aclImdb_labeled_50k.tar.gz"):
        if not (data / name).exists():
            skip(f"{data / name} is missing; set TENON_SHARED_DATA")
    return data


def reviews(archive):
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and "/unsup/" not in member.name and member.name.count("/") == 3:
                yield tar.extractfile(member).read()


def code_point_texts():
    """Every code point alone, inside a word, beside accents of several combining classes, and beside an ideograph."""
    for code in itertools.chain(range(0xD800), range(0xE000, 0x110000)):
        c = chr(code)
        if 0x40000 <= code < 0xE0000 or code >= 0xF0000:  # unassigned or private throughout
            yield f"{c} a{c}b {c}\u0301".encode()
        else:
            yield f"{c} a{c}b {c}\u0301e \u0334{c}\u0315 \u302e{c}\u0327\u0345 \U0001d16d{c} {c}\u4e2d {c}{c}S".encode()


def random_texts(count, seed):
    """Words, marks, specials, whitespace and raw bytes thrown together."""
    rng = random.Random(seed)
    marks = "".join(map(chr, [0x301, 0x302E, 0x302F, 0x8D4, 0x334, 0x345, 0x1D165, 0x1D16D, 0x1734, 0x898, 0x16FF0]))
    parts = ["[MASK]", "[SEP]", "[CLS]", "[UNK]", "[PAD]", "[mask]", "[MAS", "]", "[[MASK]]", " ", "  ", "\t", "\n", "\r\n",
             "\x00", "\x0b", "\x1c", "\x7f", "\x85", "\xa0", "\u3000", "\u200b", "\ufeff", "\ufffd", "Straße", "İstanbul",
             "ΑΣ", "naïve", "Ångström", "日本語", "한국어", "ไทย", "don't", "U.S.A.", "a" * 99, "b" * 100, "c" * 101, "é" * 101,
             "unaffable", "<br />", "##ing", "ﬁ", "ǆ", "Ǆ", "K", "👍🏽", "\U00011938", "\U0002b820", *marks]
    raw = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x80", b"\xe0\x80"]
    for _ in range(count):
        pieces = []
        for _ in range(rng.randrange(1, 30)):
            kind = rng.random()
            if kind < 0.5:
                pieces.append(rng.choice(parts).encode())
            elif kind < 0.7:
                pieces.append(chr(rng.choice([*range(32, 127), rng.randrange(0x80, 0xD800)])).encode())
            elif kind < 0.75:
                pieces.append(rng.choice(raw))
            elif kind < 0.85:
                pieces.append(rng.choice(marks).encode())
            else:
                pieces.append("".join(rng.choices("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789", k=rng.randrange(1, 12))).encode())
        yield b"".join(pieces)


def bert_json(vocabulary, **normalizer):
    """A tokenizer.json for the words of a vocab.txt."""
    words = vocabulary.read_text(encoding="utf-8").split("\n")[:-1]
    ids = {word: i for i, word in enumerate(words)}
    special = [{"id": ids[w], "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for w in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    return {
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": None, "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True, **normalizer},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", ids["[SEP]"]], "cls": ["[CLS]", ids["[CLS]"]]},
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    }


def with_added_tokens(document):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    size = len(document["model"]["vocab"])
    added = [("Foo", dict(normalized=True)), ("naïve", dict(normalized=True)), ("the", dict(single_word=True)),
             ("<ent>", dict(lstrip=True)), ("<end>", dict(rstrip=True)), ("<en", dict(lstrip=True, rstrip=True)),
             ("Wort", dict(single_word=True, normalized=True, lstrip=True))]
    for text, changed in added:  # one that is already a word keeps its id
        number = document["model"]["vocab"].get(text, size)
        size += number == size
        document["added_tokens"].append({"id": number, "content": text, **flags, **changed})
    return document


def added_token_texts(count, seed):
    rng = random.Random(seed)
    parts = ["Foo", "foo", "FOO", "naïve", "NAI\u0308VE", "the", "<ent>", "<end>", "<en", "Wort", "wort", " ", "  ", "\u3000",
             "\n", "x", ".", "é", "_", "[MASK]", "中", "\u0301", "Ⓐ", "\u200d"]
    for _ in range(count):
        yield "".join(rng.choices(parts, k=rng.randrange(1, 12))).encode()


def tenon_ids(dump, folder, texts, scratch):
    source, answer = scratch / "records", scratch / "answer"
    with open(source, "wb") as out:
        for text in texts:
            out.write(struct.pack("<I", len(text)) + text)
    with open(source, "rb") as stdin, open(answer, "wb") as stdout:
        subprocess.run([dump, folder], stdin=stdin, stdout=stdout, check=True)
    data = memoryview(answer.read_bytes()).cast("i")
    at = 0
    while at < len(data):
        yield data[at + 1:at + 1 + data[at]]
        at += 1 + data[at]


def count_differences(name, dump, folder, texts, scratch):
    from tokenizers import Tokenizer
    oracle = Tokenizer.from_file(str(folder / "tokenizer.json"))
    oracle.no_truncation()
    oracle.no_padding()
    texts = list(texts)
    ours = tenon_ids(dump, folder, texts, scratch)
    different = compared = 0
    for begin in range(0, len(texts), 4096):
        part = texts[begin:begin + 4096]
        for text, theirs in zip(part, oracle.encode_batch_fast([t.decode(errors="replace") for t in part])):
            mine = list(next(ours, []))
            compared += 1
            if mine != theirs.ids:
                different += 1
                if different <= 3:
                    print(f"  {text!r}\n    tenon {mine}\n    huggingface {theirs.ids}")
    print(f"{name}: {different} of {compared} differ", flush=True)
    return different


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dump", type=Path)
    parser.add_argument("--venv", type=Path, required=True)
    args = parser.parse_args()
    enter_venv(Path(os.environ.get("TENON_VENV", args.venv)))
    data = shared_data()
    vocabulary = data / "bert-base-uncased" / "vocab.txt"
    code_points = list(code_point_texts())
    mixed = list(random_texts(20000, seed=1))
    settings = {
        "uncased": {}, "cased": dict(lowercase=False), "cased, accents stripped": dict(lowercase=False, strip_accents=True),
        "lower case, accents kept": dict(strip_accents=False), "unclean": dict(clean_text=False, handle_chinese_chars=False),
    }
    different = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)

        def compare(name, document, texts):
            (folder / "tokenizer.json").write_text(json.dumps(document))
            return count_differences(name, args.dump, folder, texts, folder)

        different += count_differences("reviews", args.dump, data / "bert-base-uncased",
                                       reviews(data / "aclImdb_labeled_50k.tar.gz"), folder)
        for name, normalizer in settings.items():
            document = bert_json(vocabulary, **normalizer)
            few = code_points if name in ("uncased", "cased") else code_points[:0x3100] + code_points[0x3100::29]
            different += compare(f"code points, {name}", document, few)
            different += compare(f"mixtures, {name}", document, mixed)
        for name in ("uncased", "cased"):
            document = with_added_tokens(bert_json(vocabulary, **settings[name]))
            different += compare(f"added tokens, {name}", document, added_token_texts(20000, seed=2))
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
