"""What every sparse layer adds to the Keras layer it extends."""

import random
from typing import Any

import keras
import numpy as np

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.layers.kernel_mask import KernelMask
from dsr_tf.layers.kernel_units import input_axes
from dsr_tf.layers.masked_reading import masked
from dsr_tf.layers.masked_variable import MaskedVariable
from dsr_tf.layers.random_mask import first_mask
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike
from dsr_tf.units import Units


class MaskedKernel(SparseKernel, keras.layers.Layer):
    """Adds a non-trainable `kernel_mask` to a layer that has a `kernel`.

    Name it before the Keras layer among the bases. The kernel keeps its dense
    shape and is exactly 0 wherever the mask is 0, whatever is assigned to it;
    so is its gradient, whatever it is used for.

    Args:
        *args: Arguments of the Keras layer.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`. The mask starts
            with `int((1 - sparsity) * size + 0.1)` ones, at least 1, at
            positions drawn uniformly.
        granularity: What the mask moves as one: `"weight"`; in convolutions,
            `"kernel"`: all weights between one input and one output channel;
            or, where the kernel is a matrix, the rows and columns of a block,
            such as `(16, 16)` or `"16x16"`. The sparsity is then that of these
            slices or blocks. Along an axis of the matrix that the block does
            not divide, it has the length of the largest divisor below.
        seed: Seed of the first mask, a non-negative integer: equal seeds,
            equal masks for equal shapes. By default it is drawn from the
            generator that `keras.utils.set_random_seed` sets.
        **kwargs: Arguments of the Keras layer.

    Raises:
        ValueError: If an argument is out of its range.
    """

    granularities: tuple[Granularity, ...] = (WEIGHT,)
    # Whether blocks are allowed: of all axes of the kernel but the last, and
    # the last.
    takes_blocks = False

    def __init__(
        self,
        *args: Any,
        sparsity: float,
        granularity: GranularityLike = "weight",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        checked = Granularity.of(
            granularity, self.granularities, self.takes_blocks
        )
        if kwargs.get("lora_rank") is not None:
            raise ValueError(no_lora())
        super().__init__(*args, **kwargs)
        self.sparsity = checked_fraction("sparsity", sparsity)
        self.granularity = str(checked)
        # `random` is what Keras' own initializers draw their seeds from.
        self.seed = checked_count(
            "seed", random.randint(0, 2**31 - 1) if seed is None else seed
        )

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") != "kernel":
            return super().add_weight(*args, **kwargs)
        # Not `units`, which is the size of a `Dense`.
        self.kernel_units = Units(
            tuple(kwargs["shape"]),
            Granularity.of(self.granularity),
            input_axes(self),
        )
        mask = first_mask(self.kernel_units, self.sparsity, self.seed)
        # Not by Keras' own method, which makes plain variables.
        with keras.name_scope(self.name, caller=self):
            self.kernel_mask = KernelMask(mask, self.kernel_units)
            return self._masked_variable(mask, **kwargs)

    def _masked_variable(
        self,
        mask: np.ndarray,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> MaskedVariable:
        initializer = keras.initializers.get(initializer or "glorot_uniform")

        def initialize(shape: Any, dtype: Any) -> Any:
            return masked(initializer(shape, dtype=dtype), mask)

        kernel = MaskedVariable(
            self.kernel_mask,
            keras.constraints.get(constraint),
            initializer=initialize,
            dtype=dtype or self.variable_dtype,
            **kwargs,
        )
        kernel.set_regularizer(keras.regularizers.get(regularizer))
        return kernel

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_lora())

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_quantization(self.name))

    # The Keras layers save kernel and bias only: without these two a model
    # saves, then fails to load.
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.built:
            store["kernel_mask"] = self.kernel_mask

    def load_own_variables(self, store: Any) -> None:
        if self.built:
            if "kernel_mask" not in store.keys():
                raise ValueError(dense_file(self.name))
            self.kernel_mask.assign(store["kernel_mask"])
        super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sparsity": self.sparsity,
            "granularity": self.granularity,
            "seed": self.seed,
        }


def no_quantization(name: str) -> str:
    """Says why a sparse layer is not quantized in place."""
    return (
        f"`quantize` must be called on a model without sparse layers. To get a "
        "small file of 8 bits, use `dsr_tf.export(model, path, "
        'format="tflite", quantize="int8", representative=inputs)`; to '
        "quantize by Keras, call it on `dsr_tf.densify(model)`. Received: "
        f"layer '{name}', which is sparse"
    )


def dense_file(name: str) -> str:
    """Says what to do with a file without masks."""
    return (
        f"The file must hold a mask for the sparse layer '{name}'. It holds "
        "none, as files of dense models do. Load these by "
        "`dsr_tf.load_dense_weights(model, path)`."
    )


def no_lora() -> str:
    """Says why a sparse layer takes no LoRA."""
    return (
        "LoRA adds a dense matrix to the kernel, which a sparse layer cannot "
        "hold. Leave `lora_rank` out, or replace the sparse layer by its Keras "
        "base layer."
    )
