"""Pickle files of PyTorch for the own unpickler: shared storages, strides, every dtype, and two that ask for code."""

import pickle
from collections import OrderedDict

import torch

from common import save


class AsksForCode:
    """Unpickling this would run a (harmless) shell command."""

    def __reduce__(self):
        import os

        return os.system, ("true",)


def tensors():
    generator = torch.Generator().manual_seed(600)
    base = torch.randn(5, 7, generator=generator)
    return OrderedDict(
        base=base,
        transposed=base.t(),  # the storage of `base`, strides (1, 7)
        slice=base[1:4, ::2],  # offset 7, strides (7, 2)
        row=base[2],
        broadcast=base[:, :1].expand(5, 3),  # stride 0
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.randn(3, generator=generator)),
        cube=torch.randn(2, 3, 4, generator=generator).permute(2, 0, 1),
        float64=torch.randn(3, generator=generator, dtype=torch.float64),
        float16=torch.randn(3, generator=generator).half(),
        bfloat16=torch.randn(3, generator=generator).bfloat16(),
        int64=torch.tensor([1, -2, 2**40]),
        int32=torch.tensor([1, -2, 3], dtype=torch.int32),
        uint8=torch.tensor([0, 255], dtype=torch.uint8),
    )


def write(out):
    folder = out / "pickle"
    expected = tensors()
    save(folder / "expected.safetensors", expected)
    torch.save(expected, folder / "zip.bin")
    torch.save(expected, folder / "legacy.bin", _use_new_zipfile_serialization=False)
    hostile = OrderedDict(weight=torch.ones(2), extra=AsksForCode())
    torch.save(hostile, folder / "hostile_zip.bin")
    torch.save(hostile, folder / "hostile_legacy.bin", _use_new_zipfile_serialization=False)
    folder.joinpath("not_torch.bin").write_bytes(pickle.dumps({"weight": [1, 2, 3]}, protocol=2))
