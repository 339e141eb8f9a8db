"""Runs the PTX of a kernel on the CPU, one thread after the other: what the compiler made, where there is no GPU.

Every instruction of a thread is carried out as NVIDIA's *PTX ISA* says, in Python: rounded to the bit, but for
ex2.approx and rcp.approx, whose last bits that leaves open. Each access to memory is checked: it must be aligned and
lie within one array. What is executed is counted. Threads share nothing, as in all kernels here: there are no
barriers, no atomics and no shared memory.
"""

from .device import in_place_of_a_gpu
from .memory import FaultError
from .program import Program
from .translation import UnsupportedError

__all__ = ["FaultError", "Program", "UnsupportedError", "in_place_of_a_gpu"]
