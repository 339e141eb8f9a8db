"""Named targets, and data read from arrays and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from analytic import data, targets

ROWS = np.array([[0.1, -2.5], [1e-300, 3.0], [1 / 3, 1e17]])


def test_the_table_lists_every_target_with_its_size() -> None:
    rows = {name: (dim, components) for name, dim, components, _ in targets.table()}
    assert rows.keys() == targets.catalogue.keys()
    assert rows["easy-1d"] == (1, 2)
    assert rows["nine-2d"] == (2, 9)
    assert rows["pair-16"] == (16, 2)
    assert rows["spectrum-1000"] == (1000, 1)
    assert rows["digits"] == (64, 1797)
    assert all(description and "\n" not in description for *_, description in targets.table())


def test_names_end_in_their_dimension() -> None:
    for name, dim, _, _ in targets.table():
        suffix = name.rsplit("-", 1)[-1]
        assert name == "digits" or int(suffix.removesuffix("d")) == dim


def test_the_gaussian_on_the_line_has_variance_a_quarter() -> None:
    spectrum = targets.load("gaussian-1d").spectrum()
    assert (spectrum.mean[0], spectrum.variances[0]) == (1.0, 0.25)


def test_the_nine_components_are_the_published_ones() -> None:
    mixture = targets.load("nine-2d")
    np.testing.assert_allclose(mixture.variances, 0.0845, rtol=1e-14)
    published = {(0, 0), (2, 2), (2, -2), (-2, 2), (-2, -2), (4, 0), (-4, 0), (0, 4), (0, -4)}
    assert {tuple(int(v) for v in np.rint(row / 0.65)) for row in mixture.means} == published
    np.testing.assert_allclose(mixture.means / 0.65, np.rint(mixture.means / 0.65), atol=1e-14)


def test_the_rotated_spectrum_is_the_same_law_in_another_basis() -> None:
    plain, turned = targets.load("spectrum-16").spectrum(), targets.load("rotated-16").spectrum()
    assert plain.basis is None
    assert turned.basis is not None
    order = np.argsort(-turned.variances)
    np.testing.assert_allclose(turned.variances[order], plain.variances, rtol=1e-13)
    np.testing.assert_allclose(plain.variances, 1.0 / np.arange(1, 17))
    np.testing.assert_allclose(np.abs(turned.basis.T @ turned.mean)[order], plain.mean, rtol=1e-12)
    assert np.abs(turned.basis).max() < 0.95


def test_the_pair_of_spectra_overlaps_by_what_it_says() -> None:
    pair, plain = targets.load("pair-16"), targets.load("spectrum-16").spectrum()
    np.testing.assert_allclose(pair.condition(0).covariance(), np.diag(plain.variances), rtol=1e-13)
    np.testing.assert_allclose(pair.condition(1).covariance(), np.diag(plain.variances) / 2, rtol=1e-13)
    np.testing.assert_allclose(pair.means[1] - pair.means[0], 0.8 * np.sqrt(plain.variances), rtol=1e-13)


def test_digits_are_atoms_on_the_pixels() -> None:
    mixture = targets.load("digits")
    assert not mixture.variances.any()
    np.testing.assert_array_equal((mixture.means + 1.0) * 8.0, load_digits().data)
    # At a small level the denoiser of a digit is that digit.
    np.testing.assert_allclose(mixture.denoise(mixture.means[:3], 1.0, 0.05), mixture.means[:3], atol=1e-12)


@pytest.mark.parametrize("name", ["esy-1d", "nine2d", "spectrum-10"])
def test_an_unknown_name_is_answered_with_near_names(name: str) -> None:
    with pytest.raises(ValueError, match=f"target is '{name}', which is not known: did you mean .*-"):
        targets.load(name)


def test_an_unknown_name_that_is_near_nothing_is_answered_with_the_command_that_lists_all() -> None:
    with pytest.raises(ValueError, match=r"known: `assay list targets` has all names; a file ends in \.npy"):
        targets.load("zzzzzzzz")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
def test_files_are_read_to_the_last_digit(tmp_path: Path, suffix: str, header: bool) -> None:
    file = tmp_path / f"rows{suffix}"
    frame = pd.DataFrame(ROWS, columns=["a", "b"])
    if suffix == ".npy":
        np.save(file, ROWS)
    elif suffix == ".csv":
        frame.to_csv(file, index=False, header=header)
    else:
        frame.to_parquet(file)
    np.testing.assert_array_equal(data.read(file), ROWS)
    mixture = targets.load(file)
    np.testing.assert_array_equal(mixture.means, ROWS)
    np.testing.assert_allclose(mixture.weights, 1 / 3)
    assert not mixture.variances.any()


def test_vectors_and_images_become_rows(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.save(tmp_path / "images.npy", images)
    np.testing.assert_array_equal(data.read(tmp_path / "images.npy"), images.reshape(2, 12))
    np.save(tmp_path / "vector.npy", [1.0, 2.0, 3.0])
    assert data.read(str(tmp_path / "vector.npy")).shape == (3, 1)


def test_bandwidth_is_a_standard_deviation() -> None:
    mixture = data.from_data([0.0, 1.0, 3.0], bandwidth=0.5)
    np.testing.assert_array_equal(mixture.variances, np.full((3, 1), 0.25))
    np.testing.assert_array_equal(mixture.noised(1.0, 0.0).means, [[0.0], [1.0], [3.0]])


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("rows.txt", "1,2\n", ValueError, r"path is '.*rows\.txt'; give a file that ends in \.npy"),
        ("bad.csv", "a,b\n1,2\n3,x\n", TypeError, r"bad\.csv holds 'x' in row 1, column 1 \(b\); keep only"),
        (
            "hole.csv",
            "a,b\n1,2\n3,\n",
            ValueError,
            r"hole\.csv holds nan in row 1, column 1 .*missing values",
        ),
        ("infinite.csv", "1,2\n3,inf\n", ValueError, r"infinite\.csv holds inf in row 1, column 1"),
        ("empty.csv", "", ValueError, r"empty\.csv cannot be read as comma-separated numbers"),
        ("header.csv", "a,b\n", ValueError, r"header\.csv has shape \(0, 2\); give at least one sample"),
        ("ragged.csv", "1,2\n3,4,5\n", ValueError, r"ragged\.csv cannot be read .*same number of fields"),
        ("broken.npy", "not an array", ValueError, r"broken\.npy cannot be read as a numeric \.npy"),
        ("broken.parquet", "not parquet", ValueError, r"broken\.parquet cannot be read as parquet"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, name: str, content: str, error: type[Exception], message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=message):
        data.read(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path is '.*none\.npy', which is not a file"):
        targets.load(tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        ([[1.0, np.nan], [0.0, 0.0]], ValueError, r"array holds nan in row 0, column 1"),
        (np.zeros((0, 3)), ValueError, r"array has shape \(0, 3\); give at least one sample"),
        (1.0, ValueError, r"array has shape \(\); give at least one sample"),
        ([["a"]], TypeError, r"array has dtype <U1; give real numbers"),
    ],
)
def test_bad_arrays_are_named(array: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        data.from_data(array)


def test_a_negative_bandwidth_is_named() -> None:
    with pytest.raises(ValueError, match=r"bandwidth is -0\.1; give a finite number >= 0"):
        data.from_data([1.0, 2.0], bandwidth=-0.1)
