"""LeNet-300-100."""

import keras
import numpy as np
from keras import layers

from dsr_tf.layers import SparseDense


def lenet_300_100(
    input_shape: tuple[int, ...] = (28, 28, 1),
    num_classes: int = 10,
    sparsity: float = 0.99,
    granularity: str = "weight",
    l1: float = 0.0,
    l2: float = 0.0,
    seed: int = 0,
) -> keras.Model:
    """Builds the multilayer perceptron of the paper's MNIST experiments.

    Layers of 300, 100 and `num_classes` units, no biases, batch normalisation
    after every layer, the logits included, and ReLU between. On MNIST 266,200
    kernel weights and 820 of batch normalisation.

    Args:
        input_shape: Shape of an image; it is flattened.
        num_classes: Number of logits.
        sparsity: Fraction of zeros in every kernel, in `[0, 1)`.
        granularity: What the masks move as one.
        l1: Factor of `sum(|w|)` over the kernels, in the loss.
        l2: Factor of `sum(w²) / 2` over the kernels, in the loss: the weight
            decay of the authors' framework.
        seed: Seed of masks and weights. Kernels are U(±1/√fan_in).

    Returns:
        A model from images to logits.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Appendix A.
    """
    units = (300, 100, num_classes)
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(units)))
    inputs = keras.Input(input_shape)
    x = layers.Flatten()(inputs)
    for i, width in enumerate(units):
        if i > 0:
            x = layers.ReLU()(x)
        x = SparseDense(
            width,
            sparsity=sparsity,
            granularity=granularity,
            seed=int(next(seeds)),
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform", seed=int(next(seeds))
            ),
            kernel_regularizer=keras.regularizers.L1L2(l1, l2 / 2),
            name=f"dense_{i + 1}",
        )(x)
        # Keras' momentum, not the 0.9 of the authors' framework: averages over
        # ten batches are noisy, and cost accuracy on the test set.
        x = layers.BatchNormalization(
            momentum=0.99, epsilon=1e-5, name=f"norm_{i + 1}"
        )(x)
    return keras.Model(inputs, x, name="lenet_300_100")
