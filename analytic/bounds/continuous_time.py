"""The evidence bound of the reverse jump process (score entropy; masked diffusion)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..chains import Chain
from ..chains.checks import time
from ..mixtures.parameters import Floats
from ..sequences import SequenceLaw
from .arguments import as_evidence, initial_loss, read_average, read_parametrisation, reconstruction_loss
from .averages import Average, OverDraws
from .evidence import Evidence
from .site import rate_loss

STRATA = 16
TOLERANCE = 1e-11
EARLIEST, LATEST = 1e-60, 1 - 2.0**-53


def continuous_time(
    noise: Chain,
    data: SequenceLaw,
    tokens: ArrayLike,
    *,
    start: float = 1.0,
    stop: float = 0.0,
    parametrisation: str = "average",
    initial: str = "prior",
    draws: int | None = None,
    seed: int = 0,
) -> Evidence:
    """Evidence bound of the reverse jump process with the exact posterior as the model, beside the log-likelihood.

        bound = E log p(x_0 | x_stop) - integral of E sum_y R_t(y, x) [s - r + r log(r/s)] dt
                - KL(q(x_start | x_0) | start law)

    The integral runs from stop to start, x follows q_t(. | x_0), y changes one site of x, r = q_t(y | x_0)/q_t(x | x_0)
    and s is the model's ratio for p_t(y)/p_t(x). For masks it is the integral of -alpha'/(1 - alpha) times the
    expected sum over masked sites of -log p(x_0,i | x_t), whatever the schedule.

    Parameters
    ----------
    noise : Chain
        Any of `chains` in continuous time.
    data : SequenceLaw
    tokens : (n, length) integer array_like
        x_0, each row possible under data.
    start, stop : float
        Times 0 <= stop < start <= 1; by default all of time.
    parametrisation : str
        "average": s exact. "plug-in": s as if the posterior mean of x_0 were the site's token, as in UDLM: another
        model unless the noise is a mask, and a gap that no number of steps closes.
    initial : str
        Law that sampling starts with: "prior", independent sites with `noise.prior`, or "marginal", the exact one.
    draws : int, optional
        Monte Carlo draws per sequence, at least 2, for sequences of any length; each takes x_t at 16 random times,
        one in each stratum. By default sums over all states, at most 131072, and quadrature in time.
    seed : int
        Of the draws.

    Returns
    -------
    Evidence
        `path` has one column.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these, a row of tokens is impossible, or there are too many states.
    FloatingPointError
        If the quadrature does not converge to 1e-11.

    Notes
    -----
    With s exact the model's path has the true law, so log p(x_0) is the log-ratio of the two path densities along
    every path, and there is no gap sequence by sequence: the integral is KL(q_stop | p_stop) - KL(q_start | p_start),
    laws at these times given x_0 against the marginals, the first of which tends to -log p(x_0) as stop -> 0. What is
    left is due to the start, E log(p_start(x)/start law(x)), of either sign for one sequence, and to reconstructing
    sites independently at stop.

    References
    ----------
    Campbell et al. 2022, proposition 2; Lou, Meng and Ermon 2024 (SEDD), theorem 3.6; for masks Shi et al. 2024 (MD4)
    and Sahoo et al. 2024 (MDLM); Schiff et al. 2025 (UDLM) for the plug-in; Jeon et al. 2025 (I-MDSE), theorem 3.1,
    for exactness.
    """
    if not isinstance(noise, Chain):
        raise TypeError(
            f"noise is {noise!r}; give a process in continuous time, or use discrete_time for this one"
        )
    plug_in = read_parametrisation(parametrisation)
    average, exact = read_average(noise, data, tokens, draws, seed)
    start, stop = time("start", start), time("stop", stop)
    if stop >= start:
        raise ValueError(
            f"stop is {stop!r} and start is {start!r}; sampling runs from start to a smaller stop"
        )
    ends = (
        initial_loss(average, start, initial, STRATA),
        reconstruction_loss(average, stop, STRATA + 1),
    )
    if isinstance(average, OverDraws):
        path = sum(_stratum(noise, average, (start, stop), plug_in, k) for k in range(STRATA))
        return as_evidence(average, exact, (ends[0], [np.asarray(path)], ends[1]))
    integral, error = _integral(noise, average, (start, stop), plug_in)
    return as_evidence(average, exact, (ends[0], [integral[:, None]], ends[1]), error)


def _integral(
    noise: Chain, average: Average, interval: tuple[float, float], plug_in: bool
) -> tuple[Floats, Floats]:
    """Integrate the expected loss over time for every row; return also the quadrature's error estimate."""
    from scipy.integrate import tanhsinh  # which is slow to import

    def losses(times: Floats) -> Floats:
        # All rows share their times. Ends are met by rounding, where rates may be infinite; they weigh nothing.
        nodes = np.clip(times[0], EARLIEST, LATEST)
        rows = [average.loss(t, rate_loss(noise, t), plug_in, 0)[:, 0] for t in nodes.reshape(-1).tolist()]
        return np.stack(rows, axis=-1).reshape(times.shape)

    count = len(average.tokens)
    if count == 0:
        return np.zeros(0), np.zeros(0)
    start, stop = interval
    # At lower levels its error estimate can be a thousand times too small; by this one smooth integrands are exact.
    found = tanhsinh(
        losses, np.full(count, stop), start, minlevel=5, maxlevel=7, atol=TOLERANCE, preserve_shape=True
    )
    if not np.all(found.success):
        raise FloatingPointError(
            f"the time integral from {stop:g} to {start:g} is known to {float(np.max(found.error)):.2g} only: "
            "choose start and stop between kinks of the schedule, or give draws="
        )
    return found.integral, found.error


def _stratum(
    noise: Chain, average: OverDraws, interval: tuple[float, float], plug_in: bool, stratum: int
) -> Floats:
    """Draws of the part of the integral in one stratum of time, (n, draws).

    Times are drawn in the clock w with 1 - alpha = w^4. Near the data a token is noised with probability w^4 and then
    costs 1/w, so that even the fourth moment is finite, which a standard error needs; in the clock 1 - alpha = w^2
    it is not, and rare large losses go unseen.
    """
    from scipy.optimize.elementwise import find_root  # which is slow to import

    most, least = (1 - float(noise.alpha(t)) for t in interval)
    uniforms = average.uniforms(stratum, average.data.length + 1)
    w = (stratum + uniforms[..., 0]) / STRATA
    alpha = 1 - (least + (most - least) * w**4)
    found = find_root(lambda t, a: noise.alpha(t) - a, (0.0, 1.0), args=(alpha,))
    times = np.clip(found.x, EARLIEST, LATEST)
    factors = 4 * (most - least) * w**3 / -noise.d_alpha(times) / STRATA
    losses = [rate_loss(noise, t) for t in times.ravel().tolist()]
    return factors * average.sums(losses, uniforms[..., 1:], plug_in)
