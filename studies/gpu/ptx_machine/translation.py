"""Statements of PTX as statements of Python."""

from __future__ import annotations

import math
import re
import struct

from .arithmetic import FORMATS, HELPERS, MASKS

_COMPARISONS = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "lo": "<",
    "ls": "<=",
    "hi": ">",
}
# the ordered comparison whose opposite is true of NaN too
_UNORDERED = {"equ": "!=", "neu": "==", "ltu": ">=", "leu": ">", "gtu": "<=", "geu": "<"}


class UnsupportedError(ValueError):
    """An instruction the machine does not know."""


def _kind(register: str) -> str:
    """Type of what a register holds, by its name."""
    letters = re.sub(r"\d+$", "", register)
    kinds = {"%p": "pred", "%rs": "b16", "%r": "b32", "%rd": "b64", "%f": "f32", "%fd": "f64"}
    return kinds.get(letters, "b32" if letters == "%temp" else "b64")


class Translator:
    """Translates statements one by one; registers become entries of a list, parameters of a dictionary."""

    def __init__(self, symbols: dict[str, int]) -> None:
        self.symbols = symbols
        self.registers: dict[str, int] = {}

    def operand(self, text: str) -> str:
        if text.startswith("%"):
            special = {"%tid.x": "thread[0]", "%ctaid.x": "thread[1]", "%ntid.x": "thread[2]"}
            if text in special:
                return special[text]
            return f"r[{self.registers.setdefault(text, len(self.registers))}]"
        if re.match(r"0[df][0-9A-Fa-f]+$", text):
            form, raw = ("<d", "<Q") if text[1] == "d" else ("<f", "<I")
            value = struct.unpack(form, struct.pack(raw, int(text[2:], 16)))[0]
            if math.isfinite(value):
                return repr(value)
            return "math.nan" if math.isnan(value) else f"({'-' if value < 0 else ''}math.inf)"
        if re.match(r"-?(0[xX][0-9a-fA-F]+|\d+)$", text):
            return str(int(text, 0))
        if text.startswith("__local_depot"):
            return "depot"
        if text in self.symbols:
            return str(self.symbols[text])
        raise UnsupportedError(f"operand {text}")

    def integer(self, text: str, kind: str) -> str:
        """An operand as an integer of its type: signed, or modulo 2^bits."""
        value, bits = self.operand(text), int(kind[1:])
        if value.lstrip("-").isdigit():
            number = int(value) & MASKS[bits]
            return str(HELPERS[f"s{bits}"](number) if kind[0] == "s" else number)
        return f"s{bits}({value})" if kind[0] == "s" else value

    def statement(self, text: str) -> str:
        """Return a statement as Python."""
        found = re.match(r"([a-z][\w.]*)\s*(.*)$", text, re.DOTALL)
        if not found:
            raise UnsupportedError(text)
        (name, *parts), operands = found[1].split("."), split(found[2])
        if name in ("ld", "st"):
            return self.access(name, parts, operands)
        kind = parts[-1] if parts else ""
        if name == "mov":
            return self.move(kind, operands)
        if name == "cvta":
            return f"{self.operand(operands[0])} = {self.operand(operands[1])}"
        out = self.operand(operands[0])
        if name == "setp":
            return f"{out} = {self.comparison(parts[0], kind, operands[1:])}"
        if name == "selp":
            a, b, p = (self.operand(o) for o in operands[1:])
            if kind[0] != "f":
                a, b = (self.integer(o, f"u{kind[1:]}") for o in operands[1:3])
            return f"{out} = {a} if {p} else {b}"
        if name == "cvt":
            return f"{out} = {self.conversion(parts, operands[1])}"
        if kind == "pred":
            form = {"and": "{0} and {1}", "or": "{0} or {1}", "xor": "{0} != {1}", "not": "not {0}"}[name]
            return f"{out} = {form.format(*(self.operand(o) for o in operands[1:]))}"
        if kind[0] == "f":
            return f"{out} = {self.floating(name, parts, operands[1:])}"
        return f"{out} = {self.whole(name, parts, operands[1:])}"

    def move(self, kind: str, operands: list[str]) -> str:
        to, source = operands
        if to.startswith("{"):
            low, high = split(to[1:-1])
            whole = self.operand(source)
            whole = f"from_f64({whole})" if _kind(source) == "f64" else whole
            return f"w = {whole}; {self.operand(low)} = w & {MASKS[32]}; {self.operand(high)} = w >> 32"
        if source.startswith("{"):
            low, high = (self.operand(part) for part in split(source[1:-1]))
            whole = f"{low} | {high} << 32"
            return f"{self.operand(to)} = {f'to_f64({whole})' if _kind(to) == 'f64' else whole}"
        value = self.operand(source)
        if source.startswith("%") and kind[0] == "b":
            own, other = _kind(to), _kind(source)
            if own[0] == "f" and other[0] == "b":
                value = f"to_{own}({value})"
            elif own[0] == "b" and other[0] == "f":
                value = f"from_{other}({value})"
        elif kind == "pred":
            value = str(bool(int(value))) if value.lstrip("-").isdigit() else value
        elif kind[0] != "f" and value.lstrip("-").isdigit():
            value = self.integer(source, f"u{kind[1:]}")
        return f"{self.operand(to)} = {value}"

    def access(self, name: str, parts: list[str], operands: list[str]) -> str:
        kind = parts[-1]
        values, place = operands if name == "ld" else (operands[1], operands[0])
        base, _, offset = place[1:-1].partition("+")
        names = split(values[1:-1]) if values.startswith("{") else [values]
        if "param" in parts:
            if int(offset or 0):
                raise UnsupportedError(f"parameter {place}")
            key = repr(base)
            value = self.operand(names[0])
            return f"{value} = q[{key}]" if name == "ld" else f"q[{key}] = {value}"
        unit = struct.calcsize(FORMATS[kind])
        form = f"'<{len(names)}{FORMATS[kind]}'"
        where = f"part, at = memory.place({self.operand(base)} + {int(offset or 0)}, {unit * len(names)})"
        if name == "ld":
            targets = ", ".join(self.operand(n) for n in names)
            line = f"{where}; {targets}, = unpack_from({form}, part, at)"
            if kind[0] == "s":
                line += "".join(f"; {self.operand(n)} &= {MASKS[int(_kind(n)[1:])]}" for n in names)
            return line
        if kind[0] == "f":
            stored = [self.operand(n) for n in names]
        else:
            form = form.upper()  # bits, as registers hold them
            stored = [f"{self.integer(n, f'u{max(16, 8 * unit)}')} & {(1 << 8 * unit) - 1}" for n in names]
        return f"{where}; pack_into({form}, part, at, {', '.join(stored)})"

    def comparison(self, how: str, kind: str, operands: list[str]) -> str:
        if kind[0] == "f":
            a, b = (self.operand(o) for o in operands)
            if how in _UNORDERED:
                return f"not {a} {_UNORDERED[how]} {b}" if how != "equ" else f"not ({a} < {b} or {a} > {b})"
            if how == "ne":
                return f"({a} < {b} or {a} > {b})"
            return f"{a} {_COMPARISONS[how]} {b}"
        kind = f"u{kind[1:]}" if kind[0] == "b" else kind
        a, b = (self.integer(o, kind) for o in operands)
        return f"{a} {_COMPARISONS[how]} {b}"

    def conversion(self, parts: list[str], source: str) -> str:
        *modes, to, kind = parts
        value = self.operand(source)
        if kind[0] == "f":
            for mode in modes:
                if mode in ("rmi", "rpi", "rzi", "rni"):
                    value = f"{mode}({value})"
            if to[0] == "f":
                value = f"r32({value})" if (to, kind) == ("f32", "f64") else value
                return f"min(max({value}, 0.0), 1.0)" if "sat" in modes else value
            return f"to_integer({value}, {to[1:]}, {to[0] == 's'})"
        value = self.integer(source, kind)
        if to == "f64":
            return f"float({value})"
        if to == "f32":
            return f"float(np.{'int' if kind[0] == 's' else 'uint'}64({value}).astype(np.float32))"
        return f"{value} & {MASKS[int(to[1:])]}"

    def floating(self, name: str, parts: list[str], operands: list[str]) -> str:
        single, a = parts[-1] == "f32", [self.operand(o) for o in operands]
        if name == "fma":
            rounding = parts[0]
            if rounding == "rn":
                return f"fma{'32' if single else '64'}({', '.join(a)})"
            if rounding == "rm" and single:
                return f"fma32_down({', '.join(a)})"
            raise UnsupportedError(f"fma.{'.'.join(parts)}")
        if "approx" in parts:
            approximate = {("rcp", "f64"): "rcp_approx", ("ex2", "f32"): "ex2"}
            if (name, parts[-1]) not in approximate or "ftz" not in parts:
                raise UnsupportedError(f"{name}.{'.'.join(parts)}")
            return f"{approximate[name, parts[-1]]}({a[0]})"
        forms = {
            "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "divide({0}, {1})",
            "rcp": "divide(1.0, {0})", "sqrt": "root({0})",
        }  # fmt: skip
        exact = {
            "neg": "-{0}", "abs": "abs({0})", "min": "({0} if {0} < {1} or {1} != {1} else {1})",
            "max": "({0} if {0} > {1} or {1} != {1} else {1})", "copysign": "copysign({1}, {0})",
        }  # fmt: skip
        if name in exact:
            return exact[name].format(*a)
        if name not in forms or any(p in ("rz", "rm", "rp") for p in parts):
            raise UnsupportedError(f"{name}.{'.'.join(parts)}")
        return f"r32({forms[name].format(*a)})" if single else forms[name].format(*a)

    def whole(self, name: str, parts: list[str], operands: list[str]) -> str:
        kind = parts[-1]
        if kind not in FORMATS:
            raise UnsupportedError(f"{name}.{'.'.join(parts)}")
        bits = int(kind[1:])
        unsigned = f"u{bits}" if kind[0] == "b" else kind
        a = [self.integer(o, unsigned) for o in operands]
        mask = MASKS[bits]
        if name == "mul" and parts[0] == "wide":
            return f"{a[0]} * {a[1]} & {MASKS[2 * bits]}"
        if name == "mul" and parts[0] == "hi":
            return f"({a[0]} * {a[1]} >> {bits}) & {mask}"
        if name in ("shl", "shr"):
            count = self.integer(operands[1], "u32")
            if name == "shl":
                return f"({a[0]} << min({count}, {bits})) & {mask}"
            return f"({a[0]} >> min({count}, {bits})) & {mask}"
        forms = {
            "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}", "abs": "abs({0})", "not": "~{0}",
            "and": "{0} & {1}", "or": "{0} | {1}", "xor": "{0} ^ {1}", "min": "min({0}, {1})", "max": "max({0}, {1})",
        }  # fmt: skip
        if name == "mad" and parts[0] == "lo":
            return f"({a[0]} * {a[1]} + {a[2]}) & {mask}"
        if name == "div":
            return f"quotient({a[0]}, {a[1]}) & {mask}"
        if name == "rem":
            return f"({a[0]} - {a[1]} * quotient({a[0]}, {a[1]})) & {mask}"
        if name not in forms:
            raise UnsupportedError(f"{name}.{'.'.join(parts)}")
        return f"({forms[name].format(*a)}) & {mask}"


def split(text: str) -> list[str]:
    """Operands between commas, those in braces together."""
    return [part.strip() for part in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,{}\s][^,{}]*", text)]


def statements(body: str) -> list[str]:
    """Labels (with their colon) and statements of a function's body."""
    body = re.sub(r"//[^\n]*|\.pragma[^;]*;|^\s*[{}]\s*$", "", body, flags=re.MULTILINE)
    out: list[str] = []
    for piece in body.split(";"):
        text = piece.strip()
        while found := re.match(r"(\$\w+:)\s*", text):
            out.append(found[1])
            text = text[found.end() :]
        if text and not text.startswith((".reg", ".param", ".local")):
            out.append(" ".join(text.split()))
    return out
