"""Short vectors as a type of compiled code on the CPU: what is written for one sample runs for several at once.

A `Lanes` value holds one number of each of several samples and lives in vector registers, where an array of as many
numbers would live in memory. Arithmetic, comparisons and bits work lane by lane, with scalars spread over the lanes;
`fma`, `select`, `convert` and `reinterpret` are what operators lack. `load` and `store` move them to and from memory,
`BYTES` of them at a time: 16 of float32, 8 of float64. A lane's result depends on that lane alone, so that it is the
same bits wherever a sample lies. Only compiled code can call these: in the interpreter they raise.
"""

from __future__ import annotations

import operator
from typing import Any

import numba
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

BYTES = 64  # two registers of 32, or one of 64: enough in flight to hide how long an instruction takes

# Whether those are one register, of 32 that there are: then a long pass can keep all that it needs in them.
_FEATURES = numba.config.CPU_FEATURES  # None: those that the machine has
MANY_REGISTERS = "+avx512f" in (binding.get_host_cpu_features().flatten() if _FEATURES is None else _FEATURES)


class Lanes(types.Type):
    """The type of a short vector: so many numbers of one kind, or truth values of comparisons."""

    def __init__(self, kind: Any, width: int) -> None:
        self.kind, self.width = kind, width
        super().__init__(name=f"Lanes({kind}, {width})")

    def can_convert_from(self, context: Any, other: Any) -> Any:
        """Say that a number can stand for as many equal ones."""
        return Conversion.safe if isinstance(other, types.Number | types.Boolean) else None

    def of(self, kind: Any) -> Lanes:
        """Return the type of as many numbers of another kind."""
        return Lanes(kind, self.width)


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        bit = isinstance(lanes.kind, types.Boolean)
        kind = ir.IntType(1) if bit else manager.lookup(lanes.kind).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(kind, lanes.width))


def _like(value: Any, kind: Any) -> Any:
    """Return the type of as many numbers of another kind as a value is: of one, if it is a scalar."""
    return value.of(kind) if isinstance(value, Lanes) else kind


def _kind(value: Any) -> Any:
    """Return the kind of number that a value consists of."""
    return value.kind if isinstance(value, Lanes) else value


def _spread(builder: Any, value: Any, kind: Any) -> Any:
    """Return a vector with one number in every lane."""
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), None)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, zeros)


@lower_cast(types.Number, Lanes)
def _number_to_lanes(context: Any, builder: Any, given: Any, wanted: Lanes, value: Any) -> Any:
    value = context.cast(builder, value, given, wanted.kind)
    return _spread(builder, value, context.get_value_type(wanted))


# operator: (instruction of floats, of signed integers, of unsigned ones)
_ARITHMETIC: dict[Any, tuple[str, str, str]] = {
    operator.add: ("fadd", "add", "add"),
    operator.sub: ("fsub", "sub", "sub"),
    operator.mul: ("fmul", "mul", "mul"),
    operator.truediv: ("fdiv", "", ""),
    operator.and_: ("", "and_", "and_"),
    operator.or_: ("", "or_", "or_"),
    operator.xor: ("", "xor", "xor"),
    operator.lshift: ("", "shl", "shl"),
    operator.rshift: ("", "ashr", "lshr"),
}
_COMPARISONS = {operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "=="}


def _instruction(names: tuple[str, str, str], kind: Any) -> str:
    return names[0 if isinstance(kind, types.Float) else 1 if kind.signed else 2]


def _common(a: Any, b: Any) -> Lanes | None:
    """Return the type that both arguments of an operator take, None if neither is a vector."""
    if isinstance(a, Lanes):
        return a if b == a or isinstance(b, types.Number) else None
    return b if isinstance(b, Lanes) and isinstance(a, types.Number) else None


def _define(of: Any, names: Any, compares: bool) -> None:
    @infer_global(of)
    class _Operator(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, keywords: Any) -> Any:
            lanes = _common(*args) if len(args) == 2 else None
            if lanes is None or isinstance(lanes.kind, types.Boolean):
                return None
            return signature(lanes.of(types.boolean) if compares else lanes, lanes, lanes)

    @lower_builtin(of, Lanes, Lanes)
    def _lowered(context: Any, builder: Any, given: Any, args: Any) -> Any:
        kind = given.args[0].kind
        if not compares:
            return getattr(builder, _instruction(names, kind))(*args)
        if isinstance(kind, types.Float):
            return builder.fcmp_ordered(names, *args)
        return (builder.icmp_signed if kind.signed else builder.icmp_unsigned)(names, *args)


for _operator, _names in _ARITHMETIC.items():
    _define(_operator, _names, False)
for _operator, _sign in _COMPARISONS.items():
    _define(_operator, _sign, True)


@infer_global(operator.neg)
class _Negation(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, keywords: Any) -> Any:
        return signature(args[0], args[0]) if isinstance(args[0], Lanes) else None


@lower_builtin(operator.neg, Lanes)
def _negated(context: Any, builder: Any, given: Any, args: Any) -> Any:
    return builder.fneg(args[0]) if isinstance(given.args[0].kind, types.Float) else builder.neg(args[0])


def _called(name: str) -> Any:
    """Return a code generator that calls LLVM's intrinsic of a name on values of one type."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        args = [context.cast(builder, a, t, given.return_type) for a, t in zip(args, given.args, strict=True)]
        kind = args[0].type
        number = kind.element if isinstance(kind, ir.VectorType) else kind
        of = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        whole = f"{name}.{of}{number.intrinsic_name}"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * len(args)), whole
        )
        return builder.call(function, args)

    return generate


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """A times b plus c, rounded once; scalars or vectors."""
    lanes = next((t for t in (a, b, c) if isinstance(t, Lanes)), a)
    return signature(lanes, a, b, c), _called("llvm.fma")


@intrinsic
def root(context: Any, a: Any) -> Any:
    """Square root."""
    return signature(a, a), _called("llvm.sqrt")


@intrinsic
def larger(context: Any, a: Any, b: Any) -> Any:
    """The larger of a and b; a, where it is not a number."""
    lanes = a if isinstance(a, Lanes) else b

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        a, b = (context.cast(builder, v, t, lanes) for v, t in zip(args, given.args, strict=True))
        return builder.select(builder.fcmp_ordered("<", a, b), b, a)

    return signature(lanes, a, b), generate


@intrinsic
def select(context: Any, mask: Any, a: Any, b: Any) -> Any:
    """A where the mask is true, b elsewhere."""
    lanes = a if isinstance(a, Lanes) else b

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        a, b = (context.cast(builder, v, t, lanes) for v, t in zip(args[1:], given.args[1:], strict=True))
        return builder.select(args[0], a, b)

    return signature(lanes, mask, a, b), generate


@intrinsic
def any_of(context: Any, mask: Any) -> Any:
    """Whether a mask is true in any lane."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(args[0].type.count))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return signature(types.boolean, mask), generate


@intrinsic
def sum_of(context: Any, value: Any) -> Any:
    """Sum of the lanes, halves added to halves."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        (value,) = args
        width = given.args[0].width
        undefined = ir.Constant(value.type, ir.Undefined)
        while width > 1:
            width //= 2
            upper = ir.Constant(
                ir.VectorType(ir.IntType(32), value.type.count),
                [(i + width) % value.type.count for i in range(value.type.count)],
            )
            value = builder.fadd(value, builder.shuffle_vector(value, undefined, upper))
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return signature(value.kind, value), generate


@intrinsic
def convert(context: Any, value: Any, kind: Any) -> Any:
    """The same numbers in another kind, which is named by a NumPy type: as a cast of scalars does."""
    to, source = kind.dtype, _kind(value)
    wanted = _like(value, to)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        result, (lanes, _) = context.get_value_type(wanted), args
        if isinstance(source, types.Float) and isinstance(to, types.Float):
            cast = builder.fpext if to.bitwidth > source.bitwidth else builder.fptrunc
        elif isinstance(source, types.Float):
            cast = builder.fptosi if to.signed else builder.fptoui
        elif isinstance(to, types.Float):
            cast = builder.sitofp if source.signed else builder.uitofp
        elif to.bitwidth < source.bitwidth:
            cast = builder.trunc
        else:
            cast = builder.sext if source.signed else builder.zext
        same = result == lanes.type
        return lanes if same else cast(lanes, result)

    return signature(wanted, value, kind), generate


@intrinsic
def reinterpret(context: Any, value: Any, kind: Any) -> Any:
    """The same bits read as another kind of number of the same size."""
    wanted = _like(value, kind.dtype)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(wanted))

    return signature(wanted, value, kind), generate


def lanes_of(kind: Any) -> Lanes:
    """Return the type of as many numbers of a kind as are loaded and stored at a time."""
    return Lanes(kind, BYTES * 8 // kind.bitwidth)


@intrinsic
def spread(context: Any, value: Any) -> Any:
    """The same number in all lanes."""
    lanes = lanes_of(value)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return _spread(builder, args[0], context.get_value_type(lanes))

    return signature(lanes, value), generate


@intrinsic
def ordinals(context: Any, first: Any) -> Any:
    """The numbers first, first + 1, ... (uint64)."""
    wanted = lanes_of(types.uint64)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        kind = context.get_value_type(wanted)
        start = context.cast(builder, args[0], given.args[0], types.uint64)
        return builder.add(_spread(builder, start, kind), ir.Constant(kind, list(range(kind.count))))

    return signature(wanted, first), generate


@intrinsic
def join(context: Any, a: Any, b: Any) -> Any:
    """The lanes of a and then those of b, as one vector."""
    wanted = Lanes(a.kind, 2 * a.width)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        places = ir.Constant(ir.VectorType(ir.IntType(32), wanted.width), list(range(wanted.width)))
        return builder.shuffle_vector(*args, places)

    return signature(wanted, a, b), generate


@intrinsic
def lane_of(context: Any, value: Any, lane: Any) -> Any:
    """The number in one lane."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return builder.extract_element(*args)

    return signature(value.kind, value, lane), generate


@intrinsic
def start_of(context: Any, array: Any) -> Any:
    """A pointer to the first number of a contiguous array, which the caller keeps alive.

    Loops that go through pointers count no references, which arrays in tuples make them do.
    """
    if array.layout != "C":
        raise TypingError(f"array is {array}: give one that is contiguous")

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return context.make_array(array)(context, builder, args[0]).data

    return signature(types.CPointer(array.dtype), array), generate  # type: ignore[attr-defined]  # it has


def _address(builder: Any, kind: Any, pointer: Any, place: Any) -> Any:
    """Return the address of a vector of a kind that begins at a place behind a pointer."""
    return builder.bitcast(builder.gep(pointer, [place]), ir.PointerType(kind))


@intrinsic
def load(context: Any, pointer: Any, place: Any) -> Any:
    """The numbers behind a pointer from a place on."""
    lanes = lanes_of(pointer.dtype)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        address = _address(builder, context.get_value_type(lanes), *args)
        return builder.load(address, align=pointer.dtype.bitwidth // 8)

    return signature(lanes, pointer, types.intp), generate


@intrinsic
def beyond(context: Any, pointer: Any, place: Any) -> Any:
    """A pointer to what is at a place behind a pointer."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return signature(pointer, pointer, types.intp), generate


@intrinsic
def itemsize_of(context: Any, pointer: Any) -> Any:
    """Bytes of each number behind a pointer."""
    size = pointer.dtype.bitwidth // 8
    return signature(types.intp, pointer), lambda context, builder, given, args: ir.Constant(
        ir.IntType(64), size
    )


@intrinsic
def at(context: Any, pointer: Any, place: Any) -> Any:
    """The one number at a place behind a pointer."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return signature(pointer.dtype, pointer, types.intp), generate


@intrinsic
def gather(context: Any, pointer: Any, places: Any) -> Any:
    """The numbers at places, a vector of int64, behind a pointer."""
    lanes = places.of(pointer.dtype)

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        found = ir.Constant(context.get_value_type(lanes), ir.Undefined)
        for lane in range(lanes.width):
            place = ir.Constant(ir.IntType(32), lane)
            number = builder.load(builder.gep(args[0], [builder.extract_element(args[1], place)]))
            found = builder.insert_element(found, number, place)
        return found

    return signature(lanes, pointer, places), generate


@intrinsic
def scatter(context: Any, pointer: Any, places: Any, value: Any) -> Any:
    """Write the lanes of a vector to places, a vector of int64, behind a pointer, the first lane first."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        for lane in range(given.args[2].width):
            place = ir.Constant(ir.IntType(32), lane)
            address = builder.gep(args[0], [builder.extract_element(args[1], place)])
            builder.store(builder.extract_element(args[2], place), address)
        return context.get_dummy_value()

    return signature(types.none, pointer, places, value), generate


@intrinsic
def store(context: Any, pointer: Any, place: Any, value: Any) -> Any:
    """Write a vector behind a pointer from a place on."""

    def generate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        address = _address(builder, args[2].type, *args[:2])
        builder.store(args[2], address, align=pointer.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature(types.none, pointer, types.intp, value), generate
