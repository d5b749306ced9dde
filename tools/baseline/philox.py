"""Tenon's dropout masks in numpy: Philox4x32-10 (Salmon et al., SC 2011) keyed by (seed, step, operation, element).

The 64-bit seed is the key, and the counter is (element >> 2 in two words, step, operation); element & 3 picks one of
the four results. `operation` is the FNV-1a hash of a module's path, so a mask depends on no launch shape and no call
order. An element is kept if its u32 is at least floor(p * 2^32), and is then scaled by 1 / (1 - p).
"""

import numpy as np

# Published known answers (Random123, tests/kat_vectors): counter, key, result.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox4x32(counter, key):
    """Ten rounds on u64 arrays that each hold 32 bits: four counter words and two key words in, four words out."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = (int(word) for word in key)
    for _ in range(10):
        low, high = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (high >> HALF) ^ c1 ^ np.uint64(k0),
            high & WORD,
            (low >> HALF) ^ c3 ^ np.uint64(k1),
            low & WORD,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def operation_hash(path):
    """FNV-1a, 32 bits, of a module's path such as "rnn.dropout_l0"."""
    value = 0x811C9DC5
    for byte in path.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def bits(element, seed, step, path):
    """The u32 (in an i64 array) of every element (array of 64-bit keys)."""
    element = np.asarray(element).astype(np.uint64)
    block = element >> np.uint64(2)
    counter = (block & WORD, block >> HALF, np.uint64(step), np.uint64(operation_hash(path)))
    lanes = philox4x32(np.broadcast_arrays(*counter), (seed & 0xFFFFFFFF, seed >> 32))
    return np.choose((element & np.uint64(3)).astype(np.int64), lanes).astype(np.int64)


def kept(element, seed, step, path, p):
    """True where an element survives dropout with probability p (a double)."""
    return bits(element, seed, step, path) >= int(p * 2**32)


def row_elements(sequences, positions, columns):
    """Elements of a (sequences, positions, columns) tensor: sequence << 40 | position << 20 | column."""
    s, t, c = np.ogrid[:sequences, :positions, :columns]
    return (s << 40) | (t << 20) | c


def attention_elements(sequences, heads, length):
    """Elements of (sequences, heads, length, length): sequence << 44 | head << 32 | row << 16 | column."""
    s, h, i, j = np.ogrid[:sequences, :heads, :length, :length]
    return (s << 44) | (h << 32) | (i << 16) | j


def check_known_answers():
    for counter, key, result in KNOWN_ANSWERS:
        words = tuple(int(word) for word in philox4x32(counter, key))
        if words != result:
            raise AssertionError(f"Philox4x32-10 of {counter}, {key} gives {words}, published is {result}")


check_known_answers()
