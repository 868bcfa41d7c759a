"""LeNet-300-100."""

import keras

from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.models.mlp import mlp
from dsr_tf.units import GranularityLike


def lenet_300_100(
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
) -> keras.Model:
    """Builds the multilayer perceptron of the paper's MNIST experiments.

    It has layers of 300, 100 and `num_classes` units, without biases. Batch
    normalisation follows every layer, the logits included, and ReLU stands
    between layers. On MNIST it has 266,200 kernel weights and 820 weights of
    batch normalisation.

    Args:
        input_shape: Shape of an image, which is flattened.
        num_classes: Number of logits.
        width: Factor on the 300 and the 100 units, above 0; results are
            rounded.
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

    Returns:
        A model from images to logits.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967), Appendix A.
    """
    return mlp(
        input_shape,
        num_classes,
        width,
        sparsity,
        hashed,
        l1,
        l2,
        seed,
        distribution,
        granularity,
        storage,
        hidden=(300, 100),
        name="lenet_300_100",
    )
