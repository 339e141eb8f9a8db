"""Paths against 120-digit formulas written from the definitions."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from analytic import paths

Scale = Callable[[mpf], mpf]
EPS = float(np.finfo(np.float64).eps)


def rate_integral(low: float, high: float, schedule: str = "linear") -> Scale:
    """Return the integral of beta from 0 to t."""
    if schedule == "linear":
        return lambda t: mpf(low) * t + (mpf(high) - mpf(low)) * t**2 / 2
    slope = mp.sqrt(high) - mp.sqrt(low)
    return lambda t: ((mp.sqrt(low) + slope * t) ** 3 - mp.sqrt(low) ** 3) / (3 * slope)


def cosine_alpha(s: float) -> Scale:
    return lambda t: (
        mp.cos(mp.pi / 2 * (t + mpf(s)) / (1 + mpf(s))) / mp.cos(mp.pi / 2 * mpf(s) / (1 + mpf(s)))
    )


def from_alpha(alpha: Scale, kind: str) -> tuple[Scale, Scale]:
    if kind == "vp":
        return alpha, lambda t: mp.sqrt(1 - alpha(t) ** 2)
    return alpha, lambda t: 1 - alpha(t) ** 2


def damped(t: mpf) -> mpf:
    """Momentum's alpha, of rates 0.1 to 20 times 0.1 between 0.002 and 2."""
    u = max(t - mpf(0.002), 0) / (2 - mpf(0.002))
    B = mpf(0.1) * (mpf(0.1) * u + (20 - mpf(0.1)) * u**2 / 2)
    return (1 + B) * mp.exp(-B)


def references() -> dict[str, tuple[paths.Gaussian, Scale, Scale]]:
    """Return the paths with their alpha and sigma as mpmath functions."""
    with mp.workdps(120):
        linear, scaled = rate_integral(0.1, 20.0), rate_integral(0.85, 12.0, "scaled-linear")
        ve_ratio = mpf(50.0) / mpf(0.01)
        return {
            "vp": (paths.VP(), *from_alpha(lambda t: mp.exp(-linear(t) / 2), "vp")),
            "vp-scaled": (
                paths.VP(0.85, 12.0, schedule="scaled-linear"),
                *from_alpha(lambda t: mp.exp(-scaled(t) / 2), "vp"),
            ),
            "vp-constant": (paths.VP(2.0, 2.0), *from_alpha(lambda t: mp.exp(-t), "vp")),
            "vp-scaled-constant": (
                paths.VP(2.0, 2.0, schedule="scaled-linear"),
                *from_alpha(lambda t: mp.exp(-t), "vp"),
            ),
            "sub-vp": (paths.SubVP(), *from_alpha(lambda t: mp.exp(-linear(t) / 2), "sub-vp")),
            "cosine": (paths.CosineVP(), *from_alpha(cosine_alpha(0.008), "vp")),
            "cosine-wide": (paths.CosineVP(s=0.3), *from_alpha(cosine_alpha(0.3), "vp")),
            "cosine-high": (paths.CosineVP(s=4.0), *from_alpha(cosine_alpha(4.0), "vp")),
            "ve": (paths.VE(0.01, 50.0), lambda t: mpf(1), lambda t: mpf(0.01) * ve_ratio**t),
            "edm": (paths.EDM(), lambda t: mpf(1), lambda t: t),
            "fdm": (
                paths.FDM(0.002, 2.0, multiplier=0.1),
                lambda t: damped(t),
                lambda t: t * damped(t),
            ),
            "linear": (paths.Linear(), lambda t: 1 - t, lambda t: t),
            "trigonometric": (
                paths.Trigonometric(),
                lambda t: mp.cos(mp.pi * t / 2),
                lambda t: mp.sin(mp.pi * t / 2),
            ),
            "square": (paths.Polynomial(2), lambda t: (1 - t) ** 2, lambda t: 1 - (1 - t) ** 2),
            "root": (paths.Polynomial(0.5), lambda t: mp.sqrt(1 - t), lambda t: 1 - mp.sqrt(1 - t)),
        }


REFERENCES = references()
TIMES = (1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.9946, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12)
every_path = pytest.mark.parametrize("name", REFERENCES)


@pytest.fixture(autouse=True)
def many_digits():
    with mp.workdps(120):
        yield


def slope(function: Scale, t: mpf) -> mpf:
    """Central difference on a scale far below the distance to the ends, good to 40 digits."""
    h = min(t, abs(1 - t) or t) * mpf(10) ** -20
    return (function(t + h) - function(t - h)) / (2 * h)


def exact(name: str, quantity: str, t: float) -> mpf:
    """Return a quantity at float t from alpha and sigma alone."""
    _, alpha, sigma = REFERENCES[name]
    time = mpf(t)
    drift = slope(alpha, time) / alpha(time)
    return {
        "alpha": lambda: alpha(time),
        "sigma": lambda: sigma(time),
        "d_alpha": lambda: slope(alpha, time),
        "d_sigma": lambda: slope(sigma, time),
        "log_snr": lambda: mp.log(alpha(time) / sigma(time)),
        "d_log_snr": lambda: slope(lambda u: mp.log(alpha(u) / sigma(u)), time),
        "f": lambda: drift,
        # Variance of the forward SDE: (sigma^2)' = 2 f sigma^2 + g^2.
        "g2": lambda: slope(lambda u: sigma(u) ** 2, time) - 2 * drift * sigma(time) ** 2,
    }[quantity]()


@every_path
@pytest.mark.parametrize("quantity", ["alpha", "sigma", "d_alpha", "d_sigma", "d_log_snr", "f", "g2"])
def test_every_quantity_is_right_to_a_few_ulps_near_both_ends(name: str, quantity: str) -> None:
    path = REFERENCES[name][0]
    for t, value in zip(TIMES, getattr(path, quantity)(np.array(TIMES)), strict=True):
        truth = exact(name, quantity, t)
        # exp(-B) has the condition number B = 10.05 at t = 1 on VP(0.1, 20).
        assert abs(mpf(float(value)) - truth) <= 12 * EPS * abs(truth) + mpf(10) ** -60, (t, value, truth)


@every_path
def test_log_snr_is_right_to_a_few_ulps_near_both_ends(name: str) -> None:
    path = REFERENCES[name][0]
    for t in TIMES:
        truth = exact(name, "log_snr", t)
        assert abs(mpf(float(path.log_snr(t))) - truth) <= 5 * EPS * max(1, abs(truth)), t


@every_path
def test_time_of_log_snr_is_the_time_where_the_log_snr_has_that_value(name: str) -> None:
    path, alpha, sigma = REFERENCES[name]
    for level in (-36.0, -27.3, -10.0, -4.2, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 10.0, 17.0, 27.0, 40.0):
        t = float(path.time_of_log_snr(level))
        if t <= 0 or (t == 1 and path.log_snr(1.0) == -np.inf):
            continue  # VE before its time 0; a 1 - t below the spacing of floats.
        residual = mp.log(alpha(mpf(t)) / sigma(mpf(t))) - mpf(level)
        assert abs(residual / exact(name, "d_log_snr", t)) <= 5 * EPS * t, level


@every_path
@given(position=st.floats(-27.0, 27.0))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_times_survive_the_way_to_log_snr_and_back(name: str, position: float) -> None:
    path = REFERENCES[name][0]
    t = 1 / (1 + math.exp(position))
    level = float(path.log_snr(t))
    # Rounding the log-SNR to a float moves the time by this much already.
    unavoidable = EPS * max(abs(level), 1) / abs(float(path.d_log_snr(t)))
    assert abs(float(path.time_of_log_snr(level)) - t) <= 5 * (unavoidable + EPS * t)


@pytest.mark.parametrize("name", [n for n in REFERENCES if n != "ve"])
def test_the_data_end_has_no_noise_and_infinite_log_snr(name: str) -> None:
    path = REFERENCES[name][0]
    assert path.alpha(0.0) == 1
    assert path.sigma(0.0) == 0
    assert path.log_snr(0.0) == np.inf
    assert path.d_log_snr(0.0) == -np.inf
    assert path.time_of_log_snr(np.inf) == 0
    assert np.isfinite(path.g2(0.0))


@pytest.mark.parametrize(
    "name", ["cosine", "cosine-wide", "cosine-high", "linear", "trigonometric", "square", "root"]
)
def test_the_noise_end_has_no_data_and_minus_infinite_log_snr(name: str) -> None:
    path = REFERENCES[name][0]
    assert path.end == 1
    assert path.alpha(1.0) == 0
    assert path.sigma(1.0) == 1
    assert path.log_snr(1.0) == -np.inf
    assert path.f(1.0) == -np.inf
    assert path.time_of_log_snr(-np.inf) == 1
    assert path.time_of_log_snr(-800.0) == 1


@pytest.mark.parametrize("name", ["vp", "vp-scaled", "vp-constant", "sub-vp", "ve", "edm"])
def test_paths_without_a_noise_end_reach_it_at_infinity(name: str) -> None:
    path = REFERENCES[name][0]
    assert path.time_of_log_snr(-np.inf) == np.inf
    assert path.time_of_log_snr(-700.0) < np.inf
    if name == "ve":
        assert path.time_of_log_snr(np.inf) == -np.inf
        assert path.sigma(-np.inf) == 0


def test_extreme_log_snr_neither_overflows_nor_loses_digits() -> None:
    for name in ("vp", "sub-vp"):
        path, alpha, sigma = REFERENCES[name]
        for level in (-1000.0, -400.0, -30.0):
            t = mpf(float(path.time_of_log_snr(level)))
            assert abs(mp.log(alpha(t) / sigma(t)) - level) <= 8 * EPS * abs(level)
    # Small B: log-SNR -> -log(B)/2 on VP, -log(B) on SubVP, with B -> beta_min t.
    assert paths.VP().time_of_log_snr(300.0) == pytest.approx(math.exp(-600) / 0.1, rel=1e-13)
    assert paths.SubVP().time_of_log_snr(600.0) == pytest.approx(math.exp(-600) / 0.1, rel=1e-13)
    assert paths.CosineVP().time_of_log_snr(300.0) > 0


def test_ends_of_ve_are_its_two_sigmas_exactly() -> None:
    for low, high in ((0.01, 50.0), (0.02, 20.0), (0.01, 1348.0)):
        path = paths.VE(low, high)
        assert (float(path.sigma(0.0)), float(path.sigma(1.0))) == (low, high)


def test_cosine_clip_of_a_discrete_chain_is_where_the_docstring_says() -> None:
    path = paths.CosineVP()
    for n, tolerance in ((1000, 1e-3), (10000, 1e-4)):
        # Nichol and Dhariwal's chain: rates 1 - abar(i/n)/abar((i-1)/n), clipped at 0.999.
        angle = (np.arange(n + 1) / n + 0.008) / 1.008 * np.pi / 2
        bar = np.cos(angle) ** 2
        kept = np.maximum(bar[1:] / bar[:-1], 1 - 0.999)
        assert np.count_nonzero(kept == 1 - 0.999) == 1
        assert path.alpha(1 - math.sqrt(0.001) / n) == pytest.approx(math.sqrt(np.prod(kept)), rel=tolerance)


def test_default_times_are_the_documented_ones() -> None:
    spans = {
        paths.VP(): (1, 1e-3, 1),
        paths.VP(schedule="scaled-linear"): (1, 1e-3, 1),
        paths.SubVP(): (1, 1e-3, 1),
        paths.CosineVP(): (0.9946, 1e-3, 1),
        paths.VE(): (1, 0, 1),
        paths.EDM(): (80, 0.002, np.inf),
        paths.EDM(0.01, 10): (10, 0.01, np.inf),
        paths.Linear(): (0.999, 0.001, 1),
        paths.Trigonometric(): (0.999, 0.001, 1),
        paths.Polynomial(3): (0.999, 0.001, 1),
    }
    assert {path: (path.start, path.stop, path.end) for path in spans} == spans
    assert len({path.name for path in spans}) == 9
    assert paths.VE() == paths.VE(0.01, 50)
    assert paths.EDM() == paths.EDM(0.002, 80)
    assert paths.Polynomial() == paths.Polynomial(2)


def test_conventional_prior_is_unit_except_where_the_variance_explodes() -> None:
    for path in (paths.VP(), paths.SubVP(), paths.CosineVP(), paths.Linear(), paths.Trigonometric()):
        assert path.prior == paths.Prior(1.0)
        assert path.prior_deviation(0.5) == 1
    assert paths.VE(0.02, 20).prior.deviation == 20
    assert paths.EDM().prior.deviation == 80
    assert paths.EDM().prior_deviation(7.0) == 7


@every_path
def test_results_have_the_shape_of_the_times_and_are_float64(name: str) -> None:
    path = REFERENCES[name][0]
    for method in (
        "alpha",
        "sigma",
        "d_alpha",
        "d_sigma",
        "log_snr",
        "d_log_snr",
        "f",
        "g2",
        "prior_deviation",
    ):
        call = getattr(path, method)
        assert isinstance(call(0.5), np.float64)
        block = call(np.array([[0.25, 0.5, 0.75]], dtype=np.float32))
        assert block.shape == (1, 3)
        assert block.dtype == np.float64
        assert block[0, 1] == call(0.5)
    assert path.time_of_log_snr([[0.5], [1.5]]).shape == (2, 1)


def test_results_do_not_alias_the_times() -> None:
    t = np.array([0.25, 0.5])
    for path in (paths.EDM(), paths.Linear()):
        path.sigma(t)[:] = 7
    assert t.tolist() == [0.25, 0.5]


def test_paths_are_immutable_equal_by_parameters_and_picklable() -> None:
    path = paths.VP(0.1, 20.0)
    assert path == paths.VP()
    assert hash(path) == hash(paths.VP())
    assert path != paths.VP(0.1, 19.0)
    assert path != paths.SubVP()
    assert repr(path) == "VP(beta_min=0.1, beta_max=20.0, schedule='linear')"
    assert all(isinstance(p, paths.Gaussian) for p, *_ in REFERENCES.values())
    copy = pickle.loads(pickle.dumps(path))
    assert copy == path
    assert (copy.start, copy.name) == (1.0, "vp")
    for frozen in (path, paths.Linear(), own_linear()):
        with pytest.raises(AttributeError, match="start"):
            frozen.start = 2.0
        with pytest.raises(AttributeError, match="stop"):
            del frozen.stop


def keep(t: np.ndarray) -> np.ndarray:
    return 1 - t


def same(t: np.ndarray) -> np.ndarray:
    return t


def own_linear() -> paths.Gaussian:
    return paths.Gaussian(keep, same, start=0.999, stop=0.001, end=1.0, name="mine")


def own_vp(**derivatives: Callable[[np.ndarray], np.ndarray]) -> paths.Gaussian:
    def integral(t: np.ndarray) -> np.ndarray:
        return 0.1 * t + 9.95 * t**2

    return paths.Gaussian(
        lambda t: np.exp(-integral(t) / 2), lambda t: np.sqrt(-np.expm1(-integral(t))), **derivatives
    )


@pytest.mark.parametrize(
    ("own", "closed"), [(own_linear(), paths.Linear()), (own_vp(), paths.VP())], ids=["linear", "vp"]
)
def test_own_path_agrees_with_the_closed_form(own: paths.Gaussian, closed: paths.Gaussian) -> None:
    t = np.array([1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.9, 1 - 1e-3, 1 - 1e-6, 1 - 1e-9])
    for method in ("d_alpha", "d_sigma", "d_log_snr", "f", "g2"):
        found, truth = getattr(own, method)(t), getattr(closed, method)(t)
        np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-9, err_msg=method)
    np.testing.assert_allclose(own.log_snr(t), closed.log_snr(t), rtol=1e-14, atol=1e-14)
    levels = closed.log_snr(t)
    np.testing.assert_allclose(own.time_of_log_snr(levels), closed.time_of_log_snr(levels), rtol=4e-15)


def test_own_path_inverts_at_its_very_ends() -> None:
    own = own_linear()
    assert own.time_of_log_snr(np.inf) == 0
    assert own.time_of_log_snr(-np.inf) == 1
    assert own.time_of_log_snr(300.0) == pytest.approx(math.exp(-300), rel=1e-12)
    vp = own_vp()
    assert vp.time_of_log_snr(vp.log_snr(1.0)) == 1
    with pytest.raises(ValueError, match=r"log_snr is -6.0, outside the range \[-5.02.*, inf\]"):
        vp.time_of_log_snr([0.0, -6.0])
    offset = paths.Gaussian(lambda t: 1.0, lambda t: 0.1 + t)
    with pytest.raises(ValueError, match="log_snr is inf, outside the range"):
        offset.time_of_log_snr(np.inf)


def test_own_path_inverts_its_end_whatever_the_rounding() -> None:
    for speed in np.linspace(0.5, 8, 16):
        own = paths.Gaussian(
            lambda t, c=speed: np.exp(-c * t), lambda t, c=speed: np.sqrt(-np.expm1(-2 * c * t)), stop=0
        )
        assert own.stop == 0
        assert own.time_of_log_snr(own.log_snr(own.end)) == pytest.approx(1, rel=1e-14)
        offset = paths.Gaussian(lambda t, c=speed: np.exp(-c * t), lambda t, c=speed: 1e-10 * c + t, stop=0)
        assert offset.time_of_log_snr(offset.log_snr(0.0)) == pytest.approx(0, abs=1e-22)


def test_own_path_never_calls_its_functions_outside_its_times() -> None:
    seen: list[float] = []

    def alpha(t: np.ndarray) -> np.ndarray:
        seen.extend((float(np.min(t)), float(np.max(t))))
        return 1 - t

    own = paths.Gaussian(alpha, same, start=0.9, end=1.0)
    own.d_alpha([0.0, 1e-12, 0.3, 0.9999999, 1.0])
    own.time_of_log_snr([-8.0, 0.0, 30.0])
    assert min(seen) >= 0
    assert max(seen) <= 1


def test_own_derivatives_are_used_and_checked() -> None:
    calls: list[int] = []

    def d_alpha(t: np.ndarray) -> np.ndarray:
        calls.append(1)
        return -np.ones_like(t)

    own = paths.Gaussian(keep, same, d_alpha, start=0.9)
    calls.clear()
    assert own.d_alpha(0.5) == -1
    assert len(calls) == 1
    with pytest.raises(ValueError, match=r"d_alpha is 1 at t = .*slope -1"):
        paths.Gaussian(keep, same, lambda t: np.ones_like(t), start=0.9)
    with pytest.raises(ValueError, match="d_sigma is"):
        own_vp(d_sigma=lambda t: 0.1 + 19.9 * t)


def test_own_path_takes_a_constant_and_shows_its_parameters() -> None:
    own = paths.Gaussian(lambda t: 1.0, same, start=10.0)
    assert own.alpha(np.zeros((2, 3))).shape == (2, 3)
    assert own.prior.deviation == 10
    assert repr(own_linear()) == (
        "Gaussian(alpha=keep, sigma=same, start=0.999, stop=0.001, end=1.0, name='mine')"
    )
    assert own_linear() == own_linear()
    assert hash(own_linear()) == hash(own_linear())
    assert own_linear() != paths.Gaussian(keep, same, start=0.99, stop=0.001, end=1.0, name="mine")


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: paths.VP(beta_min=-0.1), ValueError, "beta_min is -0.1; pass a finite number above 0"),
        (lambda: paths.VP(beta_max=np.nan), ValueError, "beta_max is nan"),
        (lambda: paths.VP(20.0, 0.1), ValueError, "beta_min is 20.0, not below beta_max = 0.1"),
        (lambda: paths.VP(schedule="cosine"), ValueError, "schedule is 'cosine'; pass 'linear'"),
        (lambda: paths.SubVP("0.1"), TypeError, "beta_min is '0.1'; pass a number"),
        (lambda: paths.CosineVP(s=0), ValueError, "s is 0; pass"),
        (lambda: paths.VE(50, 0.01), ValueError, "sigma_min is 50, not below sigma_max = 0.01"),
        (lambda: paths.VE(1, 1), ValueError, "sigma_min is 1, not below"),
        (lambda: paths.EDM(sigma_max=np.inf), ValueError, "sigma_max is inf"),
        (lambda: paths.Polynomial(True), TypeError, "power is True"),
        (lambda: paths.Linear().alpha(1.5), ValueError, r"t is 1.5, outside \[0, 1\]"),
        (lambda: paths.VP().sigma([0.5, -1e-9]), ValueError, "t is -1e-09, outside"),
        (lambda: paths.VP().sigma(None), ValueError, "t is nan"),
        (lambda: paths.VP().sigma("a"), TypeError, "t is 'a'"),
        (lambda: paths.VP().time_of_log_snr(np.nan), ValueError, "log_snr is nan"),
        (lambda: paths.Gaussian(1.0, same), TypeError, "alpha is 1.0; pass a function"),
        (lambda: paths.Gaussian(keep, same, 3), TypeError, "d_alpha is 3"),
        (lambda: paths.Gaussian(keep, same, stop=2.0), ValueError, "start is 1.0, stop 2.0"),
        (lambda: paths.Gaussian(keep, same, end=0.5), ValueError, "end 0.5; times need"),
        (
            lambda: paths.Gaussian(keep, lambda t: t - 0.5),
            ValueError,
            r"sigma is -0.499 at t = 0.001; .*non-negative",
        ),
        (
            lambda: paths.Gaussian(keep, lambda t: np.where(t > 0.5, np.inf, t)),
            ValueError,
            "sigma is inf at t = 0.5",
        ),
        (lambda: paths.Gaussian(same, keep), ValueError, "log-SNR .* must strictly decrease"),
        (
            lambda: paths.Gaussian(keep, lambda t: np.minimum(t, 0.5) * keep(t)),
            ValueError,
            "must strictly decrease",
        ),
        (lambda: paths.Gaussian(lambda t: math.cos(t), same), TypeError, "alpha failed .* numpy.vectorize"),
        (lambda: paths.Gaussian(lambda t: t[:2], same), ValueError, "alpha failed on an array of times"),
    ],
)
def test_bad_input_names_argument_value_and_remedy(
    build: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build()
