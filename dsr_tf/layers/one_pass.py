"""Arithmetic on a large kernel that goes through it once."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Smaller kernels stay in a core's cache, where another pass costs little.
_LARGE = 2**16


def one_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles an element-wise function by XLA, where its passes are seen.

    TensorFlow writes out what each operation returns, and so goes through a
    kernel once for each; XLA joins them. Values are the same, bit for bit. To
    compile takes some 50 ms for a shape, and 55 MB, so it is done for large
    kernels of rank 2 alone: other layers compute so much with each weight that
    no pass is seen.

    Args:
        function: Takes tensors, the kernel's first.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    def call(kernel: Any, *others: Any) -> Any:
        run = compiled if _pays(kernel) else function
        return run(kernel, *others)

    return call


def _pays(kernel: Any) -> bool:
    # Not for a GPU, where to compile needs libraries that may be missing.
    return (
        len(kernel.shape) == 2
        and math.prod(kernel.shape) >= _LARGE
        and tf.test.is_built_with_xla()
        and not tf.config.get_visible_devices("GPU")
    )
