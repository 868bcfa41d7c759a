"""Any Keras model, with kernels that share values."""

from typing import Any

import keras

from dsr_tf.checks import checked_fraction
from dsr_tf.convert.clone import check_built
from dsr_tf.convert.exchange import kernel_seeds
from dsr_tf.convert.exchange import with_hashed_kernels
from dsr_tf.convert.select import hashable
from dsr_tf.convert.select import select


def hash_kernels(
    model: keras.Model,
    sparsity: float,
    include: Any = None,
    exclude: Any = None,
    seed: int = 0,
) -> keras.Model:
    """Makes a copy of a Keras model with hashed kernels.

    Dense and Conv2D layers are replaced by `HashedDense` and `HashedConv2D`;
    all other layers are copied. The copy has the same names, dtype policies,
    biases and `compile` arguments; its optimizer starts anew. Each value of a
    hashed kernel is the weight of `model` at one of the positions that share
    it. The model itself is not changed.

    By default the first convolution behind each input and the 1×1 convolutions
    of residual shortcuts stay dense, as with `sparsify`.

    Args:
        model: A built model. Layers inside wrappers and one's own layers, and
            those of models in code, stay as they are.
        sparsity: Fraction of parameters saved in each kernel, in `[0, 1)`. A
            kernel has `round((1 - sparsity) * size)` values, at least 1.
        include: Layers to hash: a name, a glob such as `"block_*"`, a compiled
            regular expression, a class, a function from layer to bool, or a
            list of these. It may name layers that stay dense by default.
        exclude: Layers not to hash, given in the same ways.
        seed: Non-negative integer. Equal seeds give equal maps.

    Returns:
        A new model.

    Raises:
        ValueError: If an argument is out of its range, a pattern matches no
            layer, or the model cannot be converted.

    Example:
    >>> model = dsr_tf.models.wide_resnet(28, 2, sparsity=None)
    >>> hashed = dsr_tf.hash_kernels(model, 0.9)

    Reference:
        [Chen et al., 2015](https://arxiv.org/abs/1504.04788)
    """
    check_built(model)
    sparsity = checked_fraction("sparsity", sparsity)
    chosen = select(model, hashable(model), include, exclude)
    kernels = [x.kernels[0] for x in chosen]
    sparsities = {id(kernel): sparsity for kernel in kernels}
    return with_hashed_kernels(model, sparsities, kernel_seeds(kernels, seed))
