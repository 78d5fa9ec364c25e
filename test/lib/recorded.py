"""Python values as JSON, for a test to rebuild and compare bit for bit; replay.ts reads them."""

import base64
import math

import torch

LIMIT = 4096  # elements of a recorded tensor


class Unsupported(Exception):
    pass


def encode(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise Unsupported
        if value.is_conj() or value.is_neg() or value.dtype == torch.complex32:
            raise Unsupported
        storage = value.detach().untyped_storage()
        if storage.nbytes() > LIMIT * 16 or value.numel() > LIMIT:
            raise Unsupported
        return {
            "t": str(value.dtype)[6:],
            "shape": list(value.shape),
            "strides": list(value.stride()),
            "offset": value.storage_offset(),
            "data": base64.b64encode(bytes(storage)).decode(),
        }
    if isinstance(value, int):
        return {"i": str(value)} if abs(value) > 2**53 else value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"f": str(value)}
    if isinstance(value, complex):
        return {"c": [encode(value.real), encode(value.imag)]}
    if isinstance(value, torch.dtype):
        return {"d": str(value)[6:]}
    if isinstance(value, torch.device):
        return str(value)
    if isinstance(value, torch.layout):
        return str(value)[6:]
    if isinstance(value, torch.memory_format):
        return str(value)[6:]
    if isinstance(value, (list, tuple, torch.Size)):
        return [encode(element) for element in value]
    raise Unsupported
