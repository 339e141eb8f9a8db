"""Digits as pixels, and pixels as a PNG file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

DIGIT_SIDE = 8
RED = (224, 49, 49)


def mosaic(array: NDArray[np.float64], tiles: int, limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Lay the first tiles x tiles samples out as one RGB picture with a white pixel between two.

    Parameters
    ----------
    array : (n, 64) floats
    tiles : int
    limits : (float, float)
        Values shown black and white; what is not finite is red.

    Returns
    -------
    (side, side, 3) uint8 array
        side = 9 tiles - 1.
    """
    low, high = limits
    pitch = DIGIT_SIDE + 1
    picture = np.full((tiles * pitch - 1, tiles * pitch - 1, 3), 255, dtype=np.uint8)
    for index, sample in enumerate(array[: tiles**2].reshape(-1, DIGIT_SIDE, DIGIT_SIDE)):
        finite = np.isfinite(sample)
        level = np.clip((np.where(finite, sample, low) - low) / (high - low), 0.0, 1.0)
        colours = np.repeat(np.rint(255 * level).astype(np.uint8)[:, :, None], 3, axis=2)
        colours[~finite] = RED
        top, left = pitch * (index // tiles), pitch * (index % tiles)
        picture[top : top + DIGIT_SIDE, left : left + DIGIT_SIDE] = colours
    return picture


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode an (height, width, 3) RGB picture (PNG specification, third edition, sections 5, 9 and 11.2)."""
    height, width, _ = picture.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    rows = np.pad(picture.reshape(height, 3 * width), ((0, 0), (1, 0)))  # each row led by filter type 0
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, colour type 2: RGB
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
