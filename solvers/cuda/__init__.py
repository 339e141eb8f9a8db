"""The fused executor on NVIDIA GPUs: one thread a sample, the compiled functions of the CPU path inside.

What differs from the CPU is `libdevice` (exp, log, sin and cos), `device` (memory, launches, what may be missing) and
the few lines of each kernel. Nothing here is imported before a GPU is asked for.
"""
