"""Prints where HuggingFace `tokenizers` classifies code points otherwise than Unicode does: the tables of
models/text/unicode_differences.h.

Run it in a virtual environment with `pip install "tokenizers>=0.23,<0.24" unicodedata2`. Compared are the versions of
Unicode in Python itself and in unicodedata2; the committed tables came from 14 and 18, and utf8proc's 15 agreed.
"""
import unicodedata

import unicodedata2
from tokenizers import normalizers, pre_tokenizers

VERSIONS = (unicodedata, unicodedata2)
ONLY = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
clean = normalizers.BertNormalizer(**{**ONLY, "clean_text": True})
strip = normalizers.BertNormalizer(**{**ONLY, "strip_accents": True})
lower = normalizers.BertNormalizer(**{**ONLY, "lowercase": True})
nfd = normalizers.NFD()
split = pre_tokenizers.BertPreTokenizer()

CODES = [c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]


def kind_of(c):
    """punctuation, mark, control or plain, as `tokenizers` sees it."""
    if strip.normalize_str(c) == "":
        return "mark"
    if clean.normalize_str(f"a{c}b") == "ab":
        return "control"
    return "punctuation" if len(split.pre_tokenize_str(f"a{c}b")) == 3 else "plain"


def kind_in(version, c):
    category = version.category(c)
    if category[0] == "P":
        return "punctuation"
    return {"Mn": "mark", "Cc": "control", "Cf": "control", "Co": "control"}.get(category, "plain")


def divisible(c):
    """Decomposes, or is no starter: it changes places with a mark of class 1 behind it or of class 240 before it."""
    own = nfd.normalize_str(c)
    return own != c or nfd.normalize_str(c + "\u0334") != c + "\u0334" or nfd.normalize_str("\u0345" + c) != "\u0345" + c


def divisible_in(version, c):
    return version.normalize("NFD", c) != c or version.combining(c) != 0


def ranges(codes, barriers):
    """Codes as few ranges, none of which spans a barrier."""
    found = []
    barriers = sorted(barriers)
    position = 0
    for code in codes:
        while position < len(barriers) and barriers[position] < (found[-1][1] if found else 0):
            position += 1
        if found and not (position < len(barriers) and barriers[position] < code):
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def show(title, items):
    print(f"{title} ({len(items)}):")
    for item in items:
        print("    " + ", ".join(f"0x{code:X}" for code in item))


def main():
    kinds = {c: kind_of(chr(c)) for c in CODES}
    wrong = [c for c in CODES if any(kind_in(v, chr(c)) != kinds[c] for v in VERSIONS)]
    show("plain", ranges([c for c in wrong if kinds[c] == "plain"], [c for c in CODES if kinds[c] != "plain"]))
    show("other kinds", [[c] for c in wrong if kinds[c] != "plain" and c != 0xFFFD])

    parts = {c: divisible(chr(c)) for c in CODES}
    newer = [c for c in CODES if not parts[c] and any(divisible_in(v, chr(c)) for v in VERSIONS)]
    show("indivisible", ranges(newer, [c for c in CODES if parts[c]]))

    pairs = [(c, lower.normalize_str(chr(c))) for c in CODES]
    show("lower case", [[c, *map(ord, low)] for c, low in pairs if low != chr(c).lower()])


if __name__ == "__main__":
    main()
