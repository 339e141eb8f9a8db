"""A discrete chain as a path: its table at the nodes, log-SNR linear between them, both ends."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from analytic import paths

BETAS = paths.discrete_betas("scaled_linear", 0.00085, 0.012)
TABLE = np.cumprod(1 - BETAS)
PLAIN, ZERO = paths.Discrete(TABLE), paths.Discrete(paths.zero_terminal_snr(TABLE))
PLACES = np.array([1e-9, 0.3, 0.999999, 1.0, 1.5, 7.25, 499.5, 998.75, 999.25, 999.999999])


def _level(table: np.ndarray, i: int) -> mpf:
    a = mpf(float(table[i - 1]))
    return mp.log(a / (1 - a)) / 2


def _truth(table: np.ndarray, t: float) -> tuple[mpf, mpf]:
    """alpha and sigma at t by the definition, in many digits."""
    time, T = mpf(t), len(table)
    if t < 1:
        sigma = time * mp.sqrt(1 - mpf(float(table[0])))
        return mp.sqrt(1 - sigma**2), sigma
    i = min(int(mp.floor(time)), T - 1)
    if table[i] == 0:
        alpha = mp.sqrt(mpf(float(table[i - 1]))) * (T - time)
        return alpha, mp.sqrt(1 - alpha**2)
    level = _level(table, i) + (time - i) * (_level(table, i + 1) - _level(table, i))
    return 1 / mp.sqrt(1 + mp.exp(-2 * level)), 1 / mp.sqrt(1 + mp.exp(2 * level))


@pytest.mark.parametrize("path", [PLAIN, ZERO], ids=["plain", "zero terminal SNR"])
def test_scales_and_slopes_are_those_of_the_definition(path: paths.Discrete) -> None:
    table = np.array(path._parameters["alphas_cumprod"])
    with mp.workdps(60):
        for t in PLACES:
            alpha, sigma = _truth(table, t)
            assert float(path.alpha(t)) == pytest.approx(float(alpha), rel=1e-12)
            assert float(path.sigma(t)) == pytest.approx(float(sigma), rel=1e-12)
            assert float(path.log_snr(t)) == pytest.approx(float(mp.log(alpha / sigma)), rel=1e-11, abs=1e-11)
            h = mpf(10) ** -30
            if t not in (1.0,):  # a kink
                up, down = _truth(table, mpf(t) + h), _truth(table, mpf(t) - h)
                for slope, k in ((path.d_alpha(t), 0), (path.d_sigma(t), 1)):
                    assert float(slope) == pytest.approx(
                        float((up[k] - down[k]) / (2 * h)), rel=1e-9, abs=1e-15
                    )


@pytest.mark.parametrize("path", [PLAIN, ZERO], ids=["plain", "zero terminal SNR"])
def test_time_of_log_snr_is_the_inverse_everywhere(path: paths.Discrete) -> None:
    times = np.concatenate([PLACES, np.linspace(0.01, 999.9, 301)])
    np.testing.assert_allclose(path.time_of_log_snr(path.log_snr(times)), times, rtol=1e-9)


def test_nodes_are_the_table_and_the_ends_are_data_and_noise() -> None:
    t = np.arange(1.0, 1001.0)
    np.testing.assert_allclose(PLAIN.alpha(t) ** 2, TABLE, rtol=1e-12)
    np.testing.assert_allclose(PLAIN.alpha(t) ** 2 + PLAIN.sigma(t) ** 2, 1, rtol=1e-14)
    assert (PLAIN.sigma(0.0), PLAIN.alpha(0.0), PLAIN.log_snr(0.0)) == (0.0, 1.0, np.inf)
    assert (ZERO.alpha(1000.0), ZERO.sigma(1000.0), ZERO.log_snr(1000.0)) == (0.0, 1.0, -np.inf)
    assert (PLAIN.start, PLAIN.stop, PLAIN.end, PLAIN.nodes) == (1000.0, 1.0, 1000.0, 1000)
    assert ZERO.time_of_log_snr(-np.inf) == 1000.0
    assert PLAIN.time_of_log_snr(np.inf) == 0.0
    with pytest.raises(ValueError, match="where Discrete"):
        PLAIN.time_of_log_snr(-20.0)


def test_a_table_of_the_continuous_path_is_that_path() -> None:
    vp = paths.VP()
    table = vp.alpha(np.arange(1, 1001) / 1000) ** 2
    path = paths.Discrete(table)
    t = np.linspace(1, 1000, 4001)
    np.testing.assert_allclose(path.log_snr(t), vp.log_snr(t / 1000), atol=0.2)
    np.testing.assert_allclose(
        path.log_snr(np.arange(1.0, 1001)), vp.log_snr(np.arange(1, 1001) / 1000), atol=1e-9
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0.5], "shape"),
        ([0.5, 0.6], r"alphas_cumprod\[1\] is"),
        ([1.0, 0.5], r"alphas_cumprod\[0\] is"),
        ([0.5, 0.0, 0.0], r"alphas_cumprod\[1\] is"),
        ([0.5, np.nan], r"alphas_cumprod\[1\] is nan"),
    ],
)
def test_a_table_that_is_none_is_refused(table: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paths.Discrete(table)
    with pytest.raises(TypeError, match="alphas_cumprod is 'abc'"):
        paths.Discrete("abc")


def test_equal_tables_are_equal_paths() -> None:
    assert paths.Discrete(TABLE) == PLAIN != ZERO
    assert hash(paths.Discrete(TABLE)) == hash(PLAIN)
    assert repr(PLAIN) == "Discrete(1000 alphas_cumprod from 0.99915 to 0.0046601)"


def test_unknown_schedules_are_named() -> None:
    with pytest.raises(ValueError, match="schedule is 'sigmoid'"):
        paths.discrete_betas("sigmoid")
    cosine = paths.discrete_betas("squaredcos_cap_v2")
    assert cosine.max() == 0.999
    vp = paths.CosineVP()
    edge = np.cumprod(1 - cosine)[:998]
    np.testing.assert_allclose(edge, vp.alpha(np.arange(1, 999) / 1000) ** 2, rtol=1e-9)
