"""The plain Keras layers that a network is made of."""

from typing import Any

import keras
import numpy as np

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_number
from dsr_tf.layers import GroupLasso

_MOST_LAYERS = 1000


class PlainLayers:
    """Makes the layers of a network that have kernels.

    Each layer has one seed for its weights, and one for its mask if it is made
    sparse.

    Args:
        l1: Factor of `sum(|w|)` over all kernels, in the loss.
        l2: Factor of `sum(w²) / 2` over all kernels, in the loss: the weight
            decay of the authors' framework.
        group_lasso: Factor of `sum(‖slice‖₂)` over the convolutions' slices,
            in the loss.
        seed: Non-negative integer.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        l1: float = 0.0,
        l2: float = 0.0,
        group_lasso: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.l1 = checked_number("l1", l1)
        self.l2 = checked_number("l2", l2)
        self.group_lasso = checked_number("group_lasso", group_lasso)
        # By name, of the layers that a sparse network has sparse, in order.
        self.mask_seeds: dict[str, int] = {}
        sequence = np.random.SeedSequence(checked_count("seed", seed))
        self._seeds = iter(sequence.generate_state(2 * _MOST_LAYERS).tolist())

    def dense(
        self, units: int, name: str, sparse: bool = True, **kwargs: Any
    ) -> keras.layers.Layer:
        """Makes a dense layer with U(±1/√fan_in) weights.

        Args:
            units: Dimension of the output.
            name: Name of the layer.
            sparse: Whether the layer is sparse in a sparse network.
            **kwargs: Further arguments of the Keras layer.
        """
        initializer = keras.initializers.VarianceScaling(
            1 / 3, "fan_in", "uniform", seed=self._next_seed(name, sparse)
        )
        return keras.layers.Dense(
            units,
            kernel_initializer=initializer,
            kernel_regularizer=keras.regularizers.L1L2(self.l1, self.l2 / 2),
            name=name,
            **kwargs,
        )

    def conv(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        sparse: bool = True,
        *,
        name: str,
    ) -> Any:
        """Convolves, without bias, and pads all sides by `kernel_size // 2`.

        Weights are N(0, √(2 / (k² · C_out))), the dense fan-out.

        Args:
            x: Keras tensor of images, channels last.
            filters: Number of output channels.
            kernel_size: Height and width of the window, odd.
            strides: Step of the window, in pixels.
            sparse: Whether the layer is sparse in a sparse network.
            name: Name of the layer.
        """
        if strides > 1 and kernel_size > 1:
            # Keras' "same" would pad one side only.
            x = keras.layers.ZeroPadding2D(kernel_size // 2)(x)
        initializer = keras.initializers.RandomNormal(
            stddev=(2 / (kernel_size**2 * filters)) ** 0.5,
            seed=self._next_seed(name, sparse),
        )
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            kernel_initializer=initializer,
            kernel_regularizer=self._conv_regularizer(),
            name=name,
        )(x)

    def _next_seed(self, name: str, sparse: bool) -> int:
        """Returns the seed of a layer's weights, and stores its mask seed."""
        mask_seed, seed = next(self._seeds), next(self._seeds)
        if sparse:
            self.mask_seeds[name] = mask_seed
        return seed

    def _conv_regularizer(self) -> keras.regularizers.Regularizer:
        if self.group_lasso:
            return GroupLasso(self.group_lasso, self.l1, self.l2 / 2)
        return keras.regularizers.L1L2(self.l1, self.l2 / 2)


def scaled(channels: int, width: float) -> int:
    """Returns a number of channels times a factor, rounded, at least 1."""
    return max(1, round(channels * width))


def batch_norm(**kwargs: Any) -> keras.layers.BatchNormalization:
    """Makes a batch normalisation with Keras' momentum.

    The authors' framework uses 0.9. Averages over ten batches are noisy, and
    cost accuracy on the test set.
    """
    return keras.layers.BatchNormalization(
        momentum=0.99, epsilon=1e-5, **kwargs
    )
