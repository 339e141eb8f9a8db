"""One method of each shape: kernels are the same code for all, compiled for numbers of registers and the like."""

from __future__ import annotations

from analytic import paths
from solvers import catalogue, grids

# their second register amplifies rounding
PARASITIC = ("edict", "reversible-heun")
# on coarse grids these amplify rounding beyond what is allowed for the others
AMPLIFYING = (*PARASITIC, "dpm-solver-fast")


def one_of_each_shape() -> list[tuple[str, str]]:
    """Return (method, start) such that no two tableaux have the same blocks, and none is left out."""
    path = paths.VP()
    found: dict[object, tuple[str, str]] = {}
    for name in sorted(set(catalogue.continuous) - set(AMPLIFYING)):
        method = catalogue[name]
        for start in ("practical", "exact") if method.multistep else ("practical",):
            tableau = method.tableau(path, grids.log_snr(path, 6), start=start)
            shape = frozenset(
                (
                    b.registers_in,
                    b.registers_out,
                    b.stages,
                    len(b.functionals),
                    bool(b.G.any()),
                    bool(b.asks[..., 1].any()),
                )
                for b in tableau.blocks
            )
            found.setdefault(shape, (name, start))
    return list(found.values())
