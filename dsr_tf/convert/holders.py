"""Kernels that several layers of a model hold."""

from collections import Counter

import keras

from dsr_tf.layers.tree import all_layers


def held_by_several(model: keras.Model) -> set[int]:
    """Returns the weights that more than one layer holds, by `id(weight)`.

    `SpectralNormalization` holds the kernel of the layer that it wraps; if that
    had another kernel, it would normalize the old one.

    Args:
        model: A built model.
    """
    holders = Counter(
        weight
        for layer in all_layers(model)
        for weight in {
            id(value)
            for value in vars(layer).values()
            if isinstance(value, keras.Variable)
        }
    )
    return {weight for weight, count in holders.items() if count > 1}
