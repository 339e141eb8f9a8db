"""Mixed targets, a token and numbers: a Gaussian mixture whose component is the token, and the laws of its samplers.

`steps` has the exact conditionals that the loops `split-gibbs` and `interleaved-gibbs` draw from; `split` and
`interleaved` have the laws that these loops come to, enumerated over the token, in closed form over the numbers or by
quadrature on the line (`on_line`).
"""

from .interleaved import interleaved_law, interleaved_stationary
from .on_line import OnLine
from .split import split_law, split_on_line

__all__ = ["OnLine", "interleaved_law", "interleaved_stationary", "split_law", "split_on_line"]
