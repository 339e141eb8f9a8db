"""Small networks as denoisers: a potential whose gradient is the score, or a velocity.

The setting is that of Deveney et al. 2023: dx = -x dt + dW from t = 0 to T = 10, whose stationary law is N(0, I/2). A
potential network is phi(x, t) = -|x|^2 + MLP, the score its gradient, so that exp(phi) is a density up to a factor
of time alone and the residual of the Fokker-Planck equation means something. A velocity network is the MLP itself. The
derivatives are carried forward through the layers, so a trained network needs numpy only and runs on any array library.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from analytic import paths
from analytic.reprs import brief
from solvers import denoiser
from solvers.continuous.denoiser import Denoiser

Floats = NDArray[np.float64]
Array = Any  # of any library the array API covers
Kind = Literal["potential", "velocity"]
START, STOP = 10.0, 1e-3
DIM = 2
FEATURES = DIM + 2
CHECKPOINTS = Path(__file__).parent / "checkpoints"
CHUNK = 512
TINY = 0.1  # time below which the logarithmic clock of the features slows down


@dataclass(frozen=True)
class OrnsteinUhlenbeck(paths.Gaussian):
    """Path of dx = -x dt + dW: alpha = e^-t, sigma^2 = (1 - e^-2t)/2.

    The conventional prior has the deviation sigma(first), which at 10 is that of the stationary N(0, I/2) to 1e-9.

    Parameters
    ----------
    first, last : float
        Times at which sampling starts and stops, first > last > 0; ValueError if not.
    """

    first: float = START
    last: float = STOP

    def __post_init__(self) -> None:
        """Validate the parameters."""
        if not 0 < self.last < self.first < np.inf:
            raise ValueError(f"first is {self.first}, last {self.last}: give 0 < last < first")
        self._fix(
            name="ornstein-uhlenbeck", start=self.first, stop=self.last, end=self.first, domain=(0.0, np.inf)
        )

    def _alpha(self, t: Floats) -> Floats:
        return np.exp(-t)

    def _sigma(self, t: Floats) -> Floats:
        return np.sqrt(-np.expm1(-2 * t) / 2)

    def _d_alpha(self, t: Floats) -> Floats:
        return -np.exp(-t)

    def _d_sigma(self, t: Floats) -> Floats:
        return np.exp(-2 * t) / (2 * self._sigma(t))

    def _f(self, t: Floats) -> Floats:
        return -np.ones_like(t)

    def _g2(self, t: Floats) -> Floats:
        return np.ones_like(t)

    def _time_of_log_snr(self, log_snr: Floats) -> Floats:
        # (sigma/alpha)^2 = (e^2t - 1)/2, in logarithms where that overflows
        return np.logaddexp(0.0, np.log(2.0) - 2 * log_snr) / 2


@dataclass(frozen=True)
class Network:
    """A trained multilayer perceptron with tanh units, as a score.

    Attributes
    ----------
    kind : str
        "potential": one output, phi + |x|^2; "velocity": two outputs, f x - g^2/2 score.
    layers : sequence of (W, b)
        (out, in) and (out,) arrays; the last layer is linear.
    made : dict
        How it was trained.
    """

    kind: Kind
    layers: Sequence[tuple[Array, Array]]
    made: dict[str, Any]

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.kind not in ("potential", "velocity"):
            raise ValueError(f"kind is {self.kind!r}: use 'potential' or 'velocity'")
        width = FEATURES
        for number, (W, b) in enumerate(self.layers):
            if W.ndim != 2 or tuple(W.shape) != (b.shape[0], width):
                raise ValueError(
                    f"layers[{number}] has W {tuple(W.shape)} and b {tuple(b.shape)}: give W (out, {width}), b (out,)"
                )
            width = int(W.shape[0])
        outputs = 1 if self.kind == "potential" else DIM
        if width != outputs:
            raise ValueError(f"layers end with {width} outputs: a {self.kind} has {outputs}")

    def score(self, x: Array, t: Any) -> Array:
        """Score at x (n, 2) and t, a number or (n, 1)."""
        if self.kind == "velocity":
            return -2 * x - 2 * self.velocity(x, t)
        return _by_chunks(self._gradient, x, t)

    def _gradient(self, x: Array, t: Any) -> Array:
        out = jets(self.layers, x, t, 1)
        return array_api_compat.array_namespace(x).stack([out[1][:, 0], out[2][:, 0]], axis=1) - 2 * x

    def velocity(self, x: Array, t: Any) -> Array:
        """Velocity of the probability-flow ODE, -x - score/2, at x (n, 2) and t."""
        if self.kind == "potential":
            return -x - self.score(x, t) / 2
        return _by_chunks(lambda x, t: jets(self.layers, x, t, 0)[0], x, t)

    def residual(self, x: Array, t: Any) -> Array:
        """Residual (n,) of the Fokker-Planck equation for the log-density.

        R = d_t phi - (2 + x . grad phi + |grad phi|^2 / 2 + Laplacian phi / 2), zero if exp(phi) is the density of
        the forward process. Deveney et al. 2023 penalise its square. TypeError for a velocity, which has no phi.
        """
        if self.kind != "potential":
            raise TypeError(
                f"kind is {self.kind!r}, which has no log-density: use studies.learned.residual_bounds"
            )
        _, dx, dy, dt, dxx, dyy = (channel[:, 0] for channel in jets(self.layers, x, t, 2))
        dx, dy = dx - 2 * x[:, 0], dy - 2 * x[:, 1]
        return dt - (DIM + x[:, 0] * dx + x[:, 1] * dy + (dx**2 + dy**2) / 2 + (dxx + dyy - 4) / 2)

    def denoiser(self) -> Denoiser:
        """Return the network as what every executor for arrays takes."""
        path = OrnsteinUhlenbeck()
        if self.kind == "velocity":
            return denoiser(self.velocity, predicts="v", takes="t", path=path)
        return denoiser(self.score, predicts="score", takes="t", path=path)

    def save(self, file: str | Path) -> None:
        """Write weights and origin to an .npz file, in float32."""
        content: dict[str, Any] = {
            f"{k}{i}": np.asarray(a, np.float32)
            for i, l in enumerate(self.layers)
            for k, a in zip("Wb", l, strict=True)
        }
        content |= {"kind": self.kind, "made": json.dumps(self.made)}
        np.savez(file, **content)


def load(file: str | Path) -> Network:
    """Read a network that `Network.save` wrote; ValueError where the file is missing or is none."""
    try:
        with np.load(file, allow_pickle=False) as content:
            count = sum(name.startswith("W") for name in content.files)
            layers = [
                (content[f"W{i}"].astype(np.float64), content[f"b{i}"].astype(np.float64))
                for i in range(count)
            ]
            return Network(str(content["kind"]), layers, json.loads(str(content["made"])))  # type: ignore[arg-type]
    except (OSError, KeyError, zipfile.BadZipFile, json.JSONDecodeError) as failure:
        raise ValueError(f"file is '{file}', which is no saved network ({failure}): train one") from None


def shipped() -> dict[str, Network]:
    """Return the networks that come with the package, by name."""
    return {file.stem: load(file) for file in sorted(CHECKPOINTS.glob("*.npz"))}


def _by_chunks(function: Callable[[Array, Any], Array], x: Array, t: Any) -> Array:
    """Evaluate by rows that fit the processor's cache, three times as fast; all at once where t is no number."""
    if not isinstance(x, np.ndarray) or np.ndim(t) or len(x) <= CHUNK:
        return function(x, t)
    return np.concatenate([function(x[i : i + CHUNK], t) for i in range(0, len(x), CHUNK)])


def jets(layers: Sequence[tuple[Array, Array]], x: Array, t: Any, order: Literal[0, 1, 2]) -> list[Array]:
    """Return outputs of a network and their derivatives, carried forward layer by layer.

    Parameters
    ----------
    layers : sequence of (W, b)
    x : (n, 2) array
    t : float or (n, 1) array
    order : int
        0: the value; 1: and d/dx1, d/dx2; 2: and d/dt, d^2/dx1^2, d^2/dx2^2.

    Returns
    -------
    list of (n, outputs) arrays
    """
    xp = array_api_compat.array_namespace(x)
    t = xp.zeros_like(x[:, :1]) + t
    zero, half = xp.zeros_like(t), xp.zeros_like(t) + 0.5
    decay = xp.exp(-t)
    channels = [xp.concat([x / 2, decay, xp.log(t + TINY) / 2], axis=1)]
    if order >= 1:
        channels += [xp.concat([half, zero, zero, zero], axis=1), xp.concat([zero, half, zero, zero], axis=1)]
    if order == 2:
        nothing = xp.concat([zero, zero, zero, zero], axis=1)
        channels += [xp.concat([zero, zero, -decay, 1 / (2 * (t + TINY))], axis=1), nothing, nothing]
    v = xp.stack(channels)
    for number, (W, b) in enumerate(layers):
        if isinstance(W, np.ndarray):  # weights follow the precision and library of x
            W, b = xp.asarray(W, dtype=x.dtype), xp.asarray(b, dtype=x.dtype)
        z = (v.reshape(-1, v.shape[-1]) @ W.T).reshape(v.shape[0], v.shape[1], -1)  # one product, not a batch
        if number == len(layers) - 1:
            return [z[0] + b, *(z[i] for i in range(1, z.shape[0]))]
        y = xp.tanh(z[0] + b)
        if order == 0:
            v = y[None]
            continue
        slope = 1 - y * y
        firsts = slope * z[1 : 3 if order == 1 else 4]
        parts = [y[None], firsts]
        if order == 2:
            parts.append(slope * z[4:] - 2 * y * slope * z[1:3] ** 2)
        v = xp.concat(parts)
    raise ValueError("layers is empty: give at least one (W, b)")
