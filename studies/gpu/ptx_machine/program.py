"""Programs of PTX, run one thread after the other."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import HELPERS, MASKS
from .memory import Memory
from .translation import Translator, split, statements

_DATA = (
    r"^(?:\.common |\.visible )?\.(?:global|const) \.align \d+ \.([bu]\d+) (\w+)(?:\[\d+\] = \{([^}]*)\})?;"
)
_FUNCTION = (
    r"^(?:\.visible )?\.(entry|func)\s*(?:\([^)]*\))?\s*(\w+)\s*\(([^)]*)\)"  # sort, name, parameters
    r"\s*(?:\.\w+[^\n{]*\s*)*\{(.*?)^\}"  # directives, body
)


class Function(NamedTuple):
    """A function of PTX.

    Attributes
    ----------
    parameters : tuple of str
    registers : int
    local : int
        Bytes of local memory that a thread has.
    blocks : tuple of functions
        Basic blocks: each carries out its statements and returns the number of the next, or -1.
    counts : tuple of Counter
        What each block executes, by the name of the instruction.
    """

    parameters: tuple[str, ...]
    registers: int
    local: int
    blocks: tuple[Callable[..., int], ...]
    counts: tuple[Counter[str], ...]


class Program:
    """The functions of a PTX module, ready to run.

    Parameters
    ----------
    code : str
        PTX, as `studies.gpu.ptx.ptx` returns it.

    Attributes
    ----------
    executed : Counter
        Instructions executed so far, of all threads, by name, such as "fma.rn.f32".

    Raises
    ------
    UnsupportedError
        An instruction that is not known here.
    """

    def __init__(self, code: str) -> None:
        self.executed = Counter[str]()
        self._memory = Memory()
        code = re.sub(r"//[^\n]*", "", code)
        symbols = {}
        for size, name, values in re.findall(_DATA, code, re.MULTILINE):
            data = bytearray(int(v) for v in values.split(",")) if values else bytearray(int(size[1:]) // 8)
            symbols[name] = self._memory.hold(data)
        self._functions: dict[str, Function] = {}
        for sort, name, parameters, body in re.findall(_FUNCTION, code, re.MULTILINE | re.DOTALL):
            names = tuple(re.findall(r"\.param \.(?:align \d+ \.)?\w+ (\w+)", parameters))
            self._functions[name] = self._translated(names, body, symbols)
            if sort == "entry":
                self._entry = name

    def _translated(self, parameters: tuple[str, ...], body: str, symbols: dict[str, int]) -> Function:
        lines, translator = statements(body), Translator(symbols)
        starts = {0} | {i for i, s in enumerate(lines) if s.endswith(":")}
        starts |= {i + 1 for i, s in enumerate(lines) if re.search(r"\bbra\b|^ret$", s)} - {len(lines)}
        edges = sorted(starts)
        labels = {lines[edge][:-1]: k for k, edge in enumerate(edges) if lines[edge].endswith(":")}
        source, counts = [], []
        for k, (edge, stop) in enumerate(zip(edges, [*edges[1:], len(lines)], strict=True)):
            count = Counter[str]()
            source.append(f"def block_{k}(r, q, memory, depot, thread):\n")
            for text in lines[edge:stop]:
                if text.endswith(":"):
                    continue
                _, negated, guard, plain = re.fullmatch(r"(@(!?)(%\w+)\s+)?(.*)", text).groups()  # type: ignore[union-attr]
                count[plain.split()[0]] += 1
                python = _control(plain, labels) or translator.statement(plain)
                when = f"if {'not ' if negated else ''}{translator.operand(guard)}: " if guard else ""
                source.append(f"    {when}{python}\n")
            source.append(f"    return {k + 1}\n")
            counts.append(count)
        scope = HELPERS | {
            "unpack_from": struct.unpack_from,
            "pack_into": struct.pack_into,
            "call": self._call,
        }
        exec(compile("".join(source), "<PTX>", "exec"), scope)
        depot = re.search(r"\.local\s+\.align\s+\d+\s+\.b8\s+\w+\[(\d+)\]", body)
        blocks = tuple(scope[f"block_{k}"] for k in range(len(edges)))
        return Function(
            parameters, len(translator.registers), int(depot[1]) if depot else 0, blocks, tuple(counts)
        )

    def _call(self, name: str, q: dict[str, Any], given: list[str], out: str, thread: Any) -> None:
        function = self._functions[name]
        inner = dict(zip(function.parameters, (q[key] for key in given), strict=True))
        self._carry_out(function, inner, thread)
        q[out] = inner["func_retval0"]

    def _carry_out(self, function: Function, q: dict[str, Any], thread: tuple[int, int, int]) -> None:
        r: list[Any] = [None] * function.registers
        depot = self._memory.hold(bytearray(function.local))
        visits, k = [0] * len(function.blocks), 0
        while 0 <= k < len(function.blocks):
            visits[k] += 1
            k = function.blocks[k](r, q, self._memory, depot, thread)
        self._memory.drop()
        for times, count in zip(visits, function.counts, strict=True):
            for name, number in count.items():
                self.executed[name] += times * number

    def run(self, arguments: Any, threads: int, block: int = 32) -> None:
        """Run the kernel with at least so many threads, in whole blocks, as a launch does.

        Parameters
        ----------
        arguments : tuple
            Arrays, numbers and tuples of such; arrays are changed in place.
        threads, block : int

        Raises
        ------
        FaultError
            A thread reached outside of every array.
        ValueError
            Arguments of another number than the kernel takes, or an array that is not contiguous.
        """
        function, flat, before = self._functions[self._entry], list[Any](), len(self._memory)
        try:
            self._flatten(arguments, flat)
            if len(flat) != len(function.parameters):
                raise ValueError(
                    f"arguments are {len(flat)} values and the kernel takes {len(function.parameters)}: "
                    "give it what it was compiled for"
                )
            given = dict(zip(function.parameters, flat, strict=True))
            for i in range((threads + block - 1) // block * block):
                self._carry_out(function, dict(given), (i % block, i // block, block))
        finally:
            while len(self._memory) > before:
                self._memory.drop()

    def _flatten(self, value: Any, flat: list[Any]) -> None:
        """Lay out a value as numba's kernels take it: arrays as owner, parent, size, item, data, shape and strides."""
        if isinstance(value, tuple):
            for part in value:
                self._flatten(part, flat)
        elif isinstance(value, np.ndarray):
            address = self._memory.hold(value)
            flat += [0, 0, value.size, value.itemsize, address, *value.shape, *value.strides]
        elif isinstance(value, bool | np.bool_ | int | np.integer):
            flat.append(int(value) & MASKS[64])
        else:
            flat.append(float(value))


def _control(statement: str, labels: dict[str, int]) -> str:
    """Return what a branch, return or call is in Python; nothing for other statements."""
    name, *rest = statement.split()
    if name.startswith("bra"):
        return f"return {labels[rest[-1]]}"
    if name == "ret":
        return "return -1"
    if name.startswith("call"):
        out, callee, given = re.findall(r"\(([^)]*)\)\s*,\s*(\w+)\s*,\s*\(([^)]*)\)", statement)[0]
        return f"call({callee!r}, q, {split(given)!r}, {out.strip()!r}, thread)"
    return ""
