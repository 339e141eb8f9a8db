"""Potts and Ising models on strips, by transfer matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..mixtures.parameters import Floats, frozen, real_array, whole_number
from .chain import Chain, Tokens
from .weights import leave_one_out, outer

MOST_COLUMN_STATES = 2**16
WIDEST_EXPONENT = 600.0


class PottsStrip(Chain):
    """Potts model on a width x columns strip with free edges.

    p(x) is proportional to exp(coupling * (equal neighbour pairs) + sum_i field[x_i]), neighbours being
    next to each other in a row or a column of the strip. Tokens are laid out column by column: token
    c * width + r is row r of column c. A column is one state of a Markov chain; a pass costs
    O(n columns width states**(width + 1)). Ising spins +-1 with coupling K are states = 2, coupling = 2 K.

    Parameters
    ----------
    width, columns : int
        Rows and columns of the strip; length = width * columns.
    states : int
        States of a site, the vocabulary; states**width at most 65536.
    coupling : float
        Positive favours equal neighbours; times the inverse temperature.
    field : float or (states,) array_like
        Log-weight of each state at each site.

    Attributes
    ----------
    width, columns : int
    coupling : float
    field : (states,) read-only float64 array
    log_partition : float
        Logarithm of the normalising sum over all states**length configurations.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer, the column states are too many, or weights would underflow.
    """

    def __init__(
        self, width: int, columns: int, states: int, coupling: float, field: ArrayLike = 0.0
    ) -> None:
        self.width = whole_number(width, "width", least=1)
        self.columns = whole_number(columns, "columns", least=1)
        size = whole_number(states, "states", least=1)
        if size**self.width > MOST_COLUMN_STATES:
            raise ValueError(
                f"width is {self.width} with {size} states, {size}**{self.width} column states; "
                f"give at most {MOST_COLUMN_STATES} (strips are symmetric: let the shorter side be the width)"
            )
        strength = real_array(coupling, "coupling")
        if strength.ndim:
            raise ValueError(f"coupling has shape {strength.shape}; give one number for all pairs")
        self.coupling = float(strength)
        levels = real_array(field, "field")
        if levels.shape not in ((), (size,)):
            raise ValueError(f"field has shape {levels.shape}; give one number or shape ({size},)")
        self.field = frozen(np.array(np.broadcast_to(levels, (size,))))
        spread = abs(self.coupling) * (2 * self.width - 1) + self.width * float(np.ptp(self.field))
        if spread > WIDEST_EXPONENT:
            raise ValueError(
                f"coupling is {self.coupling!r} with field {self.field.tolist()}: weights within a column spread "
                f"over exp({spread:.4g}); keep it below exp({WIDEST_EXPONENT:g}), by a weaker coupling or field"
            )
        self._site_shape = (size,) * self.width
        column = np.stack(np.unravel_index(np.arange(size**self.width), self._site_shape), axis=1)
        log_weight = self.coupling * self._matches(column) + self.field[column].sum(axis=1)
        top = float(log_weight.max())
        weight = np.exp(log_weight - top)
        pair = self.coupling * np.eye(size)
        self._pair = np.exp(pair - pair.max())
        # Futures: forward_mass[c] sums over all columns right of c, arriving[c + 1] adds that column's weight.
        arriving, forward_mass = np.empty((self.columns, len(weight))), np.ones((self.columns, len(weight)))
        arriving[-1], log_partition = weight, 0.0
        for step in range(self.columns - 2, -1, -1):
            mass = self._transfer(arriving[step + 1][None], self._pair)[0]
            log_partition += float(np.log(mass.max()))
            forward_mass[step], arriving[step] = mass, weight * (mass / mass.max())
        total = float(arriving[0].sum())
        self.log_partition = (
            log_partition
            + float(np.log(total))
            + self.columns * top
            + (self.columns - 1) * self.width * float(pair.max())
        )
        self._arriving, self._forward_mass = arriving, forward_mass
        super().__init__(size, self.columns, len(weight), arriving[0] / total, block=self.width)

    @staticmethod
    def _matches(column: Tokens) -> Floats:
        """Equal neighbours within each row of (n, width) tokens."""
        return np.count_nonzero(column[:, 1:] == column[:, :-1], axis=1).astype(np.float64)

    def _transfer(self, weights: Floats, *pairs: Floats) -> Floats:
        """Apply the product over rows of (states, states) pair weights, the same or one per row, to (n, S)."""
        result = weights.reshape(len(weights), *self._site_shape)
        for row in range(self.width):
            result = np.moveaxis(result, row + 1, -1) @ pairs[row % len(pairs)]
            result = np.moveaxis(result, -1, row + 1)
        return result.reshape(weights.shape)

    def _advance(self, step: int, weights: Floats) -> Floats:
        return self._transfer(weights / self._forward_mass[step], self._pair) * self._arriving[step + 1]

    def _retreat(self, step: int, values: Floats) -> Floats:
        return self._transfer(values * self._arriving[step + 1], self._pair) / self._forward_mass[step]

    def _absorb(self, likelihood: Floats) -> Floats:
        return outer(likelihood)

    def _emit(self, weights: Floats, likelihood: Floats) -> Floats:
        return leave_one_out(weights, likelihood)

    def _tokens(self, states: Tokens, likelihood: Floats | None, uniforms: Floats) -> Tokens:
        columns = np.stack(np.unravel_index(states, self._site_shape), axis=-1)
        return columns.reshape(len(states), self.length)

    def _log_probability(self, tokens: Tokens) -> Floats:
        strip = tokens.reshape(len(tokens), self.columns, self.width)
        pairs = np.count_nonzero(strip[:, :, 1:] == strip[:, :, :-1], axis=(1, 2)) + np.count_nonzero(
            strip[:, 1:] == strip[:, :-1], axis=(1, 2)
        )
        return self.coupling * pairs + self.field[tokens].sum(axis=1) - self.log_partition

    def equal_pairs(self) -> float:
        """Return the expected number of equal neighbour pairs, the energy per unit of coupling."""
        laws = self._state_marginals()
        column = np.stack(np.unravel_index(np.arange(self._states), self._site_shape), axis=1)
        total = float(laws.sum(axis=0) @ self._matches(column))
        equal = np.diag(np.diag(self._pair))
        for step in range(self.columns - 1):
            weights = (laws[step] / self._forward_mass[step])[None]
            for row in range(self.width):
                pairs = [equal if r == row else self._pair for r in range(self.width)]
                total += float((self._transfer(weights, *pairs) @ self._arriving[step + 1])[0])
        return total

    def entropy(self) -> float:
        """Entropy in nats, log_partition minus the expected exponent."""
        return (
            self.log_partition
            - self.coupling * self.equal_pairs()
            - float((self.marginals @ self.field).sum())
        )
