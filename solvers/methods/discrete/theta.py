"""Two-stage tau-leaping: a leap to an intermediate time, then a leap with both stages' rates."""

from __future__ import annotations

from numpy.typing import ArrayLike

from analytic import chains

from ...catalogue import Claim, catalogue
from ...discrete import Kernel, Pair, reverse_rates, walk

CONVENTIONS = ("target", "jump")
_SOURCE = "Ren et al. 2025 (Fast solvers for discrete diffusion models)"


@catalogue.method(
    "theta-rk-2",
    half="discrete",
    claims=[
        Claim(
            2,
            "kl",
            f"{_SOURCE}: KL of the law at the end is O(h^2) for bounded, smooth rates that need no positive part, as a "
            "first-order method's is too",
            options={"clip": (True,)},
        )
    ],
    source=f"{_SOURCE}, theta-RK-2",
)
def theta_rk_2(
    noise: chains.Chain,
    grid: ArrayLike,
    theta: float = 0.5,
    clip: bool = True,
    convention: str = "target",
) -> Kernel:
    """Leap over theta h, then leap from the start over h with (1 - 1/(2 theta)) R + 1/(2 theta) R*.

    R are the rates at the start, R* those at the intermediate state and time t - theta h. Two evaluations a step.
    Claimed to be of order 2, but TV and path KL order 1, clipped or not: rates that a jump of the first stage has
    changed are applied at the state before it, so that outcomes of two jumps in one step are wrong at leading
    order. Even one masked token shows it: revealed in the first stage, it has no rates left to average.

    Parameters
    ----------
    noise : Chain
    grid : (steps + 1,) array_like
    theta : float
        In (0, 1]; 1/2 is the midpoint rule, 2/3 Ralston's, 1 Heun's. ValueError outside.
    clip : bool
        Keep the positive part of the combined rates, as published. Without, steps are signed measures, for `law`
        only; at theta >= 1/2 nothing is ever negative.
    convention : str
        How rates at different states are added: "target", those of jumps to the same token, as in the codes;
        "jump", those of the same displacement of the token's number, the paper's nu. ValueError for others.

    References
    ----------
    Ren et al. 2025, theta-RK-2.
    """
    if not 0 < theta <= 1:
        raise ValueError(f"theta is {theta!r}: use a number above 0 and at most 1")
    later = 1 / (2 * theta)
    return _walk("theta-rk-2", noise, grid, theta, (1 - later, later), True, clip, convention)


@catalogue.method(
    "theta-trapezoidal",
    half="discrete",
    claims=[
        Claim(
            2,
            "kl",
            f"{_SOURCE}, abstract: KL of the law at the end is O(h^2) for bounded, smooth rates, as a first-order "
            "method's is too",
            options={"clip": (True,)},
        ),
        Claim(
            2,
            "tv",
            "weak order 2 where no positive part is taken: Anderson and Mattingly 2011",
            "deduced",
            options={"clip": (False,)},
        ),
        Claim(
            2,
            "tv",
            "weak order 2, if the positive part were never needed: Anderson and Mattingly 2011",
            "deduced",
            options={"clip": (True,)},
        ),
    ],
    source=f"{_SOURCE}, theta-trapezoidal; Anderson and Mattingly 2011, weak trapezoidal",
)
def theta_trapezoidal(
    noise: chains.Chain,
    grid: ArrayLike,
    theta: float = 0.5,
    clip: bool = True,
    convention: str = "target",
) -> Kernel:
    """Leap over theta h, then leap on from there over (1 - theta) h with a_1 R* - a_2 R.

    a_1 = 1/(2 theta (1 - theta)) and a_2 = a_1 - 1; R are the rates at the start, R* those at the intermediate
    state and time t - theta h. TV order 2 as long as the positive part is not needed, 1 where it is: where rates
    after a jump of another site can fall below a_2/a_1 of what they were. Two evaluations a step.

    Parameters
    ----------
    noise : Chain
    grid : (steps + 1,) array_like
    theta : float
        Strictly between 0 and 1; ValueError outside. Smaller a_2/a_1 = theta^2 + (1 - theta)^2 is safer: 1/2 is
        the safest.
    clip : bool
        Keep the positive part of the combined rates, as published. Without, steps are signed measures, for `law`
        only.
    convention : str
        How rates at different states are added: "target", those of jumps to the same token, as in the codes;
        "jump", those of the same displacement of the token's number, the paper's nu, of which a site makes one
        at most, so that order 2 is lost without the positive part too. ValueError for others.

    References
    ----------
    Ren et al. 2025, theta-trapezoidal; Anderson and Mattingly 2011, section 2.
    """
    if not 0 < theta < 1:
        raise ValueError(f"theta is {theta!r}: use a number strictly between 0 and 1")
    later = 1 / (2 * theta * (1 - theta))
    return _walk("theta-trapezoidal", noise, grid, theta, (1 - later, later), False, clip, convention)


def _walk(
    name: str,
    noise: chains.Chain,
    grid: ArrayLike,
    theta: float,
    weights: tuple[float, float],
    from_start: bool,
    clip: bool,
    convention: str,
) -> Kernel:
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}: use 'target' or 'jump'")

    def step(t: float, s: float) -> list[Pair]:
        first, h = theta * (t - s), t - s
        middle = s if theta == 1 else t - first
        return [
            Pair(
                reverse_rates(noise, t),
                reverse_rates(noise, middle),
                first,
                h if from_start else h - first,
                *weights,
                from_start,
                by_jump=convention == "jump",
                clip=clip,
            )
        ]

    return walk(name, noise, grid, step)
