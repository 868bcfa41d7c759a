"""Graphs that TFLite runs by a sparse kernel with a fault."""

import keras
import numpy as np

from dsr_tf.layers import sparse_layers
from dsr_tf.layers.tree import all_layers

# XNNPACK computes kernels of fewer zeros as dense ones.
_LEAST_ZEROS = 2 / 3


def pointwise_fault(model: keras.Model) -> str | None:
    """Says why a sparse-encoded file of a model may compute wrongly, if so.

    XNNPACK runs sparse 1×1 convolutions where they follow a 3×3 convolution of
    three channels with stride 2. On Arm, LiteRT 1.2.0 to 2.1.2 computes these
    wrongly; its runtime for browsers does not run them.

    Args:
        model: A built model.
    """
    stems = [x for x in all_layers(model) if _is_stem(x)]
    sparse = [x for x in sparse_layers(model) if _is_pointwise(x)]
    if not stems or not sparse:
        return None
    return "TFLite on Arm computes sparse 1×1 convolutions of this kind wrongly"


def _is_stem(layer: keras.layers.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D):
        return False
    return layer.strides == (2, 2) and tuple(layer.kernel.shape[:3]) == (3,) * 3


def _is_pointwise(layer: keras.layers.Layer) -> bool:
    shape = tuple(layer.kernel.shape)
    if len(shape) != 4 or shape[:2] != (1, 1):
        return False
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    return bool(np.mean(kernel == 0) > _LEAST_ZEROS)
