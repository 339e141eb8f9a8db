"""All that the CUDA compiler has to know before it compiles our kernels: importing this is enough."""

from . import libdevice  # noqa: F401
from .device import simulated

if not simulated():
    from . import loops  # noqa: F401
