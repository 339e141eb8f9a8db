"""Grids given by a table of noise levels: one's own, from a file, or those published as Align Your Steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from .grids import check
from .protocols import Array, Path


@dataclass(frozen=True)
class Table:
    """A grid through a table of levels, refined or thinned log-linearly between them; call it as any grid.

    For as many steps as the table has, or a multiple, its own levels are among the nodes.

    Attributes
    ----------
    levels : tuple of float
        From noise to data, strictly decreasing, above 0 but for the last, which may be 0: the last step then goes to
        sigma = 0. ValueError if not.
    of : str
        "sigma": levels are sigma/alpha; "time": times of the path.
    name : str
        What tables of results call the grid.
    """

    levels: tuple[float, ...]
    of: str = "sigma"
    name: str = "table"

    def __post_init__(self) -> None:
        if self.of not in ("sigma", "time"):
            raise ValueError(f"of is {self.of!r}: use 'sigma' or 'time'")
        if len(self.levels) < 2:
            raise ValueError(f"levels has {len(self.levels)} entries: give at least 2, from noise to data")
        for i, (high, low) in enumerate(zip(self.levels[:-1], self.levels[1:], strict=True)):
            if not (np.isfinite(high) and high > low >= 0) or (low == 0 and i < len(self.levels) - 2):
                raise ValueError(
                    f"levels[{i + 1}] is {low!r} after {high!r}: give finite numbers that strictly decrease, above 0 "
                    "but for the last"
                )

    @property
    def steps(self) -> int:
        """Intervals of the table itself."""
        return len(self.levels) - 1

    def __call__(
        self,
        path: Path,
        steps: int,
        start: float | None = None,
        stop: float | None = None,
        append_zero: bool = False,
    ) -> Array:
        """Return a grid of `steps` intervals on a path.

        Raises ValueError for ends of one's own, which a table has already, for levels that the path does not take, and
        for fewer steps than 1, or 2 where the last goes to sigma = 0.
        """
        if start is not None or stop is not None or append_zero:
            raise ValueError(
                f"start is {start}, stop {stop}, append_zero {append_zero}: a table of levels has its own ends, "
                "leave them out"
            )
        to_data = self.levels[-1] == 0
        above = np.log(self.levels[:-1] if to_data else self.levels)
        inner = steps - to_data
        if inner < 1:
            raise ValueError(f"steps is {steps}: give at least {1 + to_data}")
        places = np.linspace(0, len(above) - 1, inner + 1)
        refined = np.exp(np.interp(places, np.arange(len(above)), above))
        times = np.array(path.time_of_log_snr(-np.log(refined)) if self.of == "sigma" else refined)
        if to_data:
            if path.sigma(0.0) != 0:
                raise ValueError(f"levels end at 0, which {path!r} does not reach at t = 0: leave the 0 out")
            times = np.append(times, 0.0)
        return check(path, times)


def table(levels: Sequence[float] | npt.ArrayLike, of: str = "sigma", name: str = "table") -> Table:
    """Return a grid through one's own levels of sigma/alpha or times, from noise to data; see `Table`."""
    try:
        numbers = np.asarray(levels, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise TypeError(f"levels is {levels!r}: give a list of numbers") from error
    return Table(tuple(numbers.tolist()), of, name)


def read(file: str | FilePath, of: str = "sigma") -> Table:
    """Return a grid from a file of numbers, separated by white space or commas, from noise to data or the other way.

    Raises ValueError if the file holds anything else.
    """
    place = FilePath(file)
    words = place.read_text().replace(",", " ").split()
    try:
        levels = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"grid is {str(file)!r}, which holds {error}: give numbers alone") from None
    if levels and levels[0] < levels[-1]:
        levels = levels[::-1]
    return table(levels, of, place.name)


# levels of sigma/alpha: Sabour, Fidler and Kreis 2024, "Align Your Steps", as its quickstart prints them
ALIGNED: Mapping[str, Table] = MappingProxyType(
    {
        name: Table(levels, "sigma", name)
        for name, levels in {
            "ays-sd15": (14.6146, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0292),
            "ays-sdxl": (14.6146, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.0292),
            "ays-svd": (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
        }.items()
    }
)
