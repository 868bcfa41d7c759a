"""Sparse arrays in few bytes: values, and gaps between positions."""

import zlib
from dataclasses import dataclass

import numpy as np

# A byte that means 255 zeros, with no value after them.
_LONG = 255


@dataclass(frozen=True)
class Packed:
    """A sparse array.

    Args:
        shape: Shape of the array.
        values: The values that are not zero, in order of the flat index.
        gaps: How many zeros come before each value, a byte each, as a zlib
            stream; 255 means 255 zeros, with no value after them.
    """

    shape: tuple[int, ...]
    values: np.ndarray
    gaps: bytes

    @property
    def num_bytes(self) -> int:
        """Bytes of values and gaps together."""
        return self.values.nbytes + len(self.gaps)


def pack(array: np.ndarray) -> Packed:
    """Packs an array. Positions that hold 0 or -0.0 are left out.

    Gaps between random positions have a geometric distribution, so their
    Huffman code comes within a few percent of the mask's entropy.

    Args:
        array: Any shape.
    """
    flat = array.reshape(-1)
    positions = np.flatnonzero(flat)
    gaps = np.diff(positions, prepend=-1) - 1
    ends = np.cumsum(gaps // _LONG + 1)
    stream = np.full(ends[-1] if len(ends) else 0, _LONG, np.uint8)
    stream[ends - 1] = gaps % _LONG
    return Packed(array.shape, flat[positions], _coded(stream.tobytes()))


def _coded(stream: bytes) -> bytes:
    """Codes gaps, by whichever strategy takes fewer bytes.

    Gaps of blocks repeat from row to row. In those of single weights, a search
    for repeated strings finds some that take more bytes than they save.
    """
    coded = []
    for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY):
        coder = zlib.compressobj(9, strategy=strategy)
        coded.append(coder.compress(stream) + coder.flush())
    return min(coded, key=len)


def unpack(packed: Packed) -> np.ndarray:
    """Returns the array that was packed."""
    stream = np.frombuffer(zlib.decompress(packed.gaps), np.uint8)
    ends = np.cumsum(stream + (stream < _LONG).astype(np.int64))
    flat = np.zeros(int(np.prod(packed.shape)), packed.values.dtype)
    flat[ends[stream < _LONG] - 1] = packed.values
    return flat.reshape(packed.shape)
