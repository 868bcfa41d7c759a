"""The layers with kernels that a network is made of."""

from typing import Any

import keras
import numpy as np

from dsr_tf.checks import checked_number
from dsr_tf.layers import GroupLasso
from dsr_tf.layers import HashedConv2D
from dsr_tf.layers import HashedDense
from dsr_tf.layers import SparseConv2D
from dsr_tf.layers import SparseDense

_MOST_LAYERS = 1000


class Kernels:
    """Makes the layers of a network that have kernels, each with its seed.

    Args:
        sparsity: Fraction of zeros in the sparse kernels, in `[0, 1)`; None
            for plain Keras layers throughout.
        hashed: Whether kernels share values instead of holding zeros.
        granularity: What the masks of convolutions move as one.
        l1: Factor of `sum(|w|)` over all kernels, in the loss.
        l2: Factor of `sum(w²) / 2` over all kernels, in the loss: the weight
            decay of the authors' framework.
        group_lasso: Factor of `sum(‖slice‖₂)` over the convolutions' slices,
            in the loss.
        seed: Non-negative integer.

    Raises:
        ValueError: If hashed kernels are to move, or to be emptied, by slices.
    """

    def __init__(
        self,
        sparsity: float | None,
        hashed: bool = False,
        granularity: str = "weight",
        l1: float = 0.0,
        l2: float = 0.0,
        group_lasso: float = 0.0,
        seed: int = 0,
    ) -> None:
        if hashed and (granularity != "weight" or group_lasso):
            raise ValueError(
                "`granularity` and `group_lasso` must be left alone where "
                "kernels are hashed: positions share values, and nothing "
                f"moves. Received: granularity={granularity}, "
                f"group_lasso={group_lasso}"
            )
        self.sparsity = sparsity
        self.hashed = hashed
        self.granularity = granularity
        self.group_lasso = group_lasso
        self.l1 = l1
        self.l2 = l2
        sequence = np.random.SeedSequence(seed)
        self._seeds = iter(sequence.generate_state(2 * _MOST_LAYERS).tolist())

    def dense(
        self, units: int, sparse: bool = True, **kwargs: Any
    ) -> keras.layers.Layer:
        """Makes a dense layer with U(±1/√fan_in) weights.

        Args:
            units: Dimension of the output.
            sparse: Whether the kernel is one of the sparse ones.
            **kwargs: Further arguments of the Keras layer.
        """
        mask_seed, seed = next(self._seeds), next(self._seeds)
        kwargs |= {
            "kernel_initializer": keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform", seed=seed
            ),
            "kernel_regularizer": keras.regularizers.L1L2(self.l1, self.l2 / 2),
        }
        if self.sparsity is None or not sparse:
            return keras.layers.Dense(units, **kwargs)
        layer = HashedDense if self.hashed else SparseDense
        return layer(units, self.sparsity, seed=mask_seed, **kwargs)

    def conv(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        sparse: bool = True,
        name: str | None = None,
    ) -> Any:
        """Convolves, without bias, padded by `kernel_size // 2` all around.

        Weights are N(0, √(2 / (k² · C_out))), the dense fan-out.

        Args:
            x: Keras tensor of images, channels last.
            filters: Number of output channels.
            kernel_size: Height and width of the window, odd.
            strides: Step of the window, in pixels.
            sparse: Whether the kernel is one of the sparse ones.
            name: Name of the layer.
        """
        mask_seed, seed = next(self._seeds), next(self._seeds)
        stddev = (2 / (kernel_size**2 * filters)) ** 0.5
        if strides > 1 and kernel_size > 1:
            # Keras' "same" would pad one side only.
            x = keras.layers.ZeroPadding2D(kernel_size // 2)(x)
        arguments = {
            "strides": strides,
            "padding": "same" if strides == 1 else "valid",
            "use_bias": False,
            "kernel_initializer": keras.initializers.RandomNormal(
                stddev=stddev, seed=seed
            ),
            "kernel_regularizer": self._conv_regularizer(),
            "name": name,
        }
        if self.sparsity is None or not sparse:
            return keras.layers.Conv2D(filters, kernel_size, **arguments)(x)
        arguments |= {"sparsity": self.sparsity, "seed": mask_seed}
        if self.hashed:
            return HashedConv2D(filters, kernel_size, **arguments)(x)
        arguments["granularity"] = self.granularity
        return SparseConv2D(filters, kernel_size, **arguments)(x)

    def _conv_regularizer(self) -> keras.regularizers.Regularizer:
        if self.group_lasso:
            return GroupLasso(self.group_lasso, self.l1, self.l2 / 2)
        return keras.regularizers.L1L2(self.l1, self.l2 / 2)


def scaled(channels: int, width: float) -> int:
    """Returns a number of channels times a factor, rounded, at least 1.

    Raises:
        ValueError: If `width` is not a number above 0.
    """
    return max(1, round(channels * checked_number("width", width, True)))


def batch_norm(**kwargs: Any) -> keras.layers.BatchNormalization:
    """Makes a batch normalisation with Keras' momentum.

    Not the 0.9 of the authors' framework: averages over ten batches are
    noisy, and cost accuracy on the test set.
    """
    return keras.layers.BatchNormalization(
        momentum=0.99, epsilon=1e-5, **kwargs
    )
