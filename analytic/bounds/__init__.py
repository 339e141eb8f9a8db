"""Evidence bounds in closed form beside the exact log-likelihood, in discrete and continuous time; infilling."""

from .continuous_time import continuous_time
from .discrete_time import discrete_time
from .evidence import Evidence
from .infilling import conditional

__all__ = ["Evidence", "conditional", "continuous_time", "discrete_time"]
