"""The first weights of blocks, drawn as those of a dense kernel."""

from typing import Any

import keras
import tensorflow as tf

from dsr_tf.layers.block_variable import stacked
from dsr_tf.units import Units

# What these draw of a weight depends on nothing but the seed.
_ELEMENTWISE = (
    keras.initializers.Constant,
    keras.initializers.Ones,
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.Zeros,
)


def first_blocks(
    initializer: Any, units: Units, positions: Any, dtype: Any
) -> Any:
    """Draws the weights of some blocks of a kernel.

    Initializers of Keras whose weights are independent draw the blocks alone,
    with the scale that the dense kernel has. Of others the blocks are cut out
    of a dense kernel.

    Args:
        initializer: A Keras initializer.
        units: The units of the kernel.
        positions: Positions of the blocks.
        dtype: Type of the weights.

    Returns:
        Shape `(len(positions), rows, columns)`.
    """
    shape = (len(positions), *units.block)
    if isinstance(initializer, keras.initializers.VarianceScaling):
        return _scaled(initializer, units, shape)(shape, dtype=dtype)
    if type(initializer) in _ELEMENTWISE:
        return initializer(shape, dtype=dtype)
    kernel = keras.ops.convert_to_tensor(initializer(units.shape, dtype=dtype))
    own = tf.gather(units.rows(kernel), positions, axis=1)
    return stacked(units, own)


def _scaled(
    initializer: Any, units: Units, shape: tuple[int, ...]
) -> keras.initializers.Initializer:
    """Returns one that scales weights of blocks as those of the kernel."""
    inputs, outputs = units.matrix
    fans = {
        "fan_in": inputs,
        "fan_out": outputs,
        "fan_avg": (inputs + outputs) / 2,
    }
    # What Keras takes for the number of inputs of the blocks.
    count = shape[0] * shape[1]
    return keras.initializers.VarianceScaling(
        initializer.scale * count / max(1.0, fans[initializer.mode]),
        "fan_in",
        initializer.distribution,
        initializer.seed,
    )
