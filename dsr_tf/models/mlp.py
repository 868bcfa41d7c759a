"""Multilayer perceptrons."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from dsr_tf.checks import checked_count
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.models.arguments import check_budget
from dsr_tf.models.arguments import check_network
from dsr_tf.models.budgeted import budgeted
from dsr_tf.models.plain_layers import PlainLayers
from dsr_tf.models.plain_layers import batch_norm
from dsr_tf.models.plain_layers import scaled
from dsr_tf.units import GranularityLike


def mlp(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    width: float = 1.0,
    sparsity: float | None = 0.99,
    hashed: bool = False,
    l1: float = 0.0,
    l2: float = 0.0,
    seed: int = 0,
    distribution: Distribution = "uniform",
    granularity: GranularityLike = "weight",
    storage: str = "masks",
    *,
    hidden: Sequence[int] = (1568, 1568, 1568),
    name: str = "mlp",
) -> keras.Model:
    """Builds a multilayer perceptron, the wide one of CHTs by default.

    Layers have no biases. Batch normalisation follows every layer, the logits
    included, and ReLU stands between layers. By default it has 6,162,240 kernel
    weights on MNIST; the authors of CHTs have no batch normalisation, and keep
    the last layer dense.

    Args:
        input_shape: Shape of an input, which is flattened.
        num_classes: Number of logits.
        width: Factor on the hidden units, above 0; results are rounded.
        sparsity: Fraction of zeros in every kernel, in `[0, 1)`; None for
            plain Keras layers.
        hashed: Whether the kernels share values instead of holding zeros.
        l1: Factor of `sum(|w|)` over the kernels, in the loss.
        l2: Factor of `sum(w²) / 2` over the kernels, in the loss.
        seed: Seed of masks and weights. Kernels are U(±1/√fan_in).
        distribution: `"uniform"`: every kernel has this sparsity. `"erk"`: all
            kernels together have it, and large kernels are sparser. A
            `Balanced`: as in `sparsify`.
        granularity: The unit that masks move: `"weight"`, or blocks such as
            `(16, 16)`.
        storage: How kernels are stored, as in `sparsify`: `"masks"`,
            `"blocks"` or `"auto"`.
        hidden: Units of each hidden layer, at least 1 each.
        name: Name of the model.

    Returns:
        A model from inputs to logits.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Zhang et al., 2025](https://arxiv.org/abs/2501.19107).
    """
    check_network(input_shape, num_classes, width)
    check_budget(sparsity, distribution, hashed, granularity, storage)
    plain = PlainLayers(l1, l2, seed=seed)
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    widths = [scaled(n, width) for n in _checked_hidden(hidden)]
    for i, units in enumerate((*widths, num_classes), start=1):
        if i > 1:
            x = layers.ReLU()(x)
        x = plain.dense(units, f"dense_{i}", use_bias=False)(x)
        x = batch_norm(name=f"norm_{i}")(x)
    return budgeted(
        keras.Model(inputs, x, name=name),
        plain.mask_seeds,
        sparsity,
        distribution,
        hashed,
        granularity,
        storage,
    )


def _checked_hidden(hidden: Any) -> list[int]:
    if not isinstance(hidden, list | tuple):
        raise ValueError(
            "`hidden` must be the units of each hidden layer, such as "
            f"(300, 100). Received: hidden={hidden!r}"
        )
    return [checked_count("hidden", units, minimum=1) for units in hidden]
