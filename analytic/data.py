"""A user's own data as a target: arrays and files become mixtures of atoms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame
from numpy.typing import ArrayLike

from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, real_number

SUFFIXES = (".npy", ".csv", ".parquet")


def from_data(array: ArrayLike, bandwidth: float = 0.0) -> GaussianMixture:
    """Empirical law of a data set: one component of equal weight per row.

    Parameters
    ----------
    array : (n,) or (n, dim) array_like, or (n, ...) which is flattened
    bandwidth : float
        Standard deviation of the Gaussian put on each row, in the units of the data; 0 gives atoms.

    Raises
    ------
    TypeError, ValueError
        If the array is empty, not numeric or not finite (row and column are given), or if the bandwidth is
        negative.
    """
    rows = _as_rows(np.asarray(array), "array")
    bandwidth = real_number(bandwidth, "bandwidth")
    return GaussianMixture(np.full(len(rows), 1.0 / len(rows)), rows, bandwidth**2)


def read(path: str | os.PathLike[str]) -> Floats:
    """Read a data set, one sample per row.

    Parameters
    ----------
    path : path of a .npy, .csv or .parquet file
        In a .csv the first line is a header if none of its fields is a number. One-dimensional arrays are
        read as dim = 1, arrays of more than two axes (images) are flattened sample by sample.

    Returns
    -------
    (n, dim) float64 array

    Raises
    ------
    TypeError, ValueError
        If there is no such file, the suffix is unknown, or the content cannot be read as finite numbers (row
        and column are given).
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise ValueError(f"path is {str(file)!r}; give a file that ends in {', '.join(SUFFIXES)}")
    if not file.is_file():
        raise ValueError(f"path is {str(file)!r}, which is not a file; check the name")
    readers = {".npy": _read_npy, ".csv": _read_csv, ".parquet": _read_parquet}
    return _as_rows(readers[file.suffix](file), str(file))


def _read_npy(file: Path) -> np.ndarray:
    try:
        # Pickled objects stay refused: a data file must not run code.
        return np.asarray(np.load(file, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as a numeric .npy array ({error}); write it with numpy.save"
        ) from None


def _read_csv(file: Path) -> np.ndarray:
    import pandas as pd  # which is slow to import

    try:
        first = pd.read_csv(file, header=None, nrows=1, dtype=str)
        header = None if pd.to_numeric(first.iloc[0], errors="coerce").notna().any() else 0
        # As text: the conversion that follows is exact, that of read_csv depends on its version.
        frame = pd.read_csv(file, header=header, dtype=str)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} cannot be read as comma-separated numbers ({str(error).strip()}); "
            "give one sample per line, the same number of fields in each"
        ) from None
    return _numbers(frame, file)


def _read_parquet(file: Path) -> np.ndarray:
    import pandas as pd  # which is slow to import

    try:
        frame = pd.read_parquet(file)
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read as parquet ({error}); write it with pandas") from None
    return _numbers(frame, file)


def _numbers(frame: DataFrame, file: Path) -> np.ndarray:
    import pandas as pd  # which is slow to import

    table = np.empty(frame.shape)
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        if pd.api.types.is_numeric_dtype(column):
            table[:, position] = column.to_numpy(dtype=np.float64, na_value=np.nan)
            continue
        for row, value in enumerate(column.to_numpy(dtype=object, na_value=np.nan)):
            try:
                table[row, position] = float(value)
            except (TypeError, ValueError):
                raise TypeError(
                    f"{file} holds {value!r} in row {row}, column {position} ({name}); "
                    "keep only numeric columns"
                ) from None
    return table


def _as_rows(array: np.ndarray, name: str) -> Floats:
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {array.dtype}; give real numbers, one sample per row")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give at least one sample with at least one value")
    rows = np.array(array, dtype=np.float64).reshape(len(array), -1)
    if not np.isfinite(rows).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(rows))[0])
        raise ValueError(
            f"{name} holds {rows[row, column]} in row {row}, column {column} (counted from 0, header apart); "
            "drop or fill missing values first"
        )
    return rows
