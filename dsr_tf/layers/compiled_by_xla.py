"""Whether what is being traced will be compiled by XLA."""

import inspect

import tensorflow as tf


def is_compiled_by_xla() -> bool:
    """Tells whether a function is traced that XLA is to compile."""
    if not tf.inside_function():
        return False
    frame = inspect.currentframe()
    while frame is not None:
        # Private: nothing public tells what a graph will be compiled by.
        if getattr(frame.f_locals.get("self"), "_jit_compile", None):
            return True
        frame = frame.f_back
    return False
