"""Fixed memory for sums over many samples."""

from collections.abc import Iterator

_CHUNK_ENTRIES = 4_000_000


def chunks(count: int, width: int) -> Iterator[slice]:
    """Slices of range(count) such that slice * width stays within a fixed memory."""
    size = max(1, _CHUNK_ENTRIES // max(1, width))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
