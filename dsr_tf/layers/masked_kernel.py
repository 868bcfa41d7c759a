"""What every sparse layer adds to the Keras layer it extends."""

import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.layers.one_pass import one_pass
from dsr_tf.layers.penalty import is_simple
from dsr_tf.layers.penalty import penalty
from dsr_tf.layers.random_mask import random_mask
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units


@one_pass
def _product(values: Any, mask: Any) -> Any:
    # 0 at a masked infinity or NaN too, as a gradient can have. A selection is
    # slower, but the product has no kernel of bfloat16 on a GPU.
    if values.dtype == tf.bfloat16:
        return tf.where(mask, values, tf.zeros([], values.dtype))
    return tf.math.multiply_no_nan(values, tf.cast(mask, values.dtype))


@ops.custom_gradient
def masked_kernel(kernel: Any, mask: Any) -> tuple[Any, Any]:
    """Passes a kernel on, and its gradient back, where the mask is 1.

    Optimizers then see gradient 0 at inactive positions, so weights and slots
    stay there as they are.

    Args:
        kernel: Any shape, 0 wherever `mask` is 0.
        mask: Same shape; 1 active, 0 not.
    """

    def grad(upstream: Any) -> tuple[Any, None]:
        return _product(upstream, mask), None

    # The kernel is 0 there already: to mask it again would cost a copy of it
    # in every step.
    return ops.copy(kernel), grad


def _masked(values: Any, mask: Any) -> Any:
    # Not a product, which is faster but gives -0.0 for negative weights.
    return ops.where(ops.cast(mask, "bool"), values, ops.zeros_like(values))


class MaskConstraint(keras.constraints.Constraint):
    """Sets a kernel to 0 wherever its mask is 0, after every update.

    Keras applies constraints last, after momentum, weight decay and the
    overwriting with moving averages, so a kernel obeys its mask with every
    optimizer.

    Args:
        mask: Variable of the kernel's shape.
        constraint: Constraint to apply first, or None.
    """

    def __init__(
        self, mask: keras.Variable, constraint: Any | None = None
    ) -> None:
        self.mask = mask
        self.constraint = constraint

    def __call__(self, w: Any) -> Any:
        if self.constraint is not None:
            w = self.constraint(w)
        return _product(
            tf.convert_to_tensor(w), tf.convert_to_tensor(self.mask)
        )


class MaskedKernel(keras.layers.Layer):
    """Adds a non-trainable `kernel_mask` to a layer that has a `kernel`.

    Name it before the Keras layer among the bases. The kernel keeps its dense
    shape and is exactly 0 wherever the mask is 0; a subclass computes with
    `self.masked(kernel)`. After assigning to the kernel, call `set_mask`: it
    sets the kernel to 0 wherever the mask is 0.

    Args:
        *args: Arguments of the Keras layer.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`. The mask starts
            with `int((1 - sparsity) * size + 0.1)` ones, at least 1, at
            positions drawn uniformly.
        granularity: What the mask moves as one: `"weight"`, or, in
            convolutions, `"kernel"`: all weights between one input and one
            output channel. The sparsity is then that of these slices.
        seed: Seed of the first mask, a non-negative integer: equal seeds,
            equal masks for equal shapes. By default it is drawn from the
            generator that `keras.utils.set_random_seed` sets.
        **kwargs: Arguments of the Keras layer.

    Raises:
        ValueError: If an argument is out of its range.
    """

    granularities: tuple[Granularity, ...] = (WEIGHT,)

    def __init__(
        self,
        *args: Any,
        sparsity: float,
        granularity: str = "weight",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        checked = Granularity.of(granularity, self.granularities)
        if kwargs.get("lora_rank") is not None:
            raise ValueError(_NO_LORA)
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
            tuple(kwargs["shape"]), Granularity.of(self.granularity)
        )
        mask = self._first_mask()
        self.kernel_mask = super().add_weight(
            name="kernel_mask",
            shape=mask.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(mask, dtype),
            # Not uint8: TensorFlow cannot send that from worker to worker.
            dtype="bool",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )
        return super().add_weight(
            *args, **{**kwargs, **self._masked_arguments(mask, kwargs)}
        )

    def _masked_arguments(
        self, mask: np.ndarray, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        initializer = keras.initializers.get(
            kwargs["initializer"] or "glorot_uniform"
        )
        regularizer = keras.regularizers.get(kwargs.get("regularizer"))
        constraint = keras.constraints.get(kwargs.get("constraint"))

        def initialize(shape: Any, dtype: Any) -> Any:
            return _masked(initializer(shape, dtype=dtype), mask)

        def regularize(kernel: Any) -> Any:
            # L1 and L2 have gradient 0 at 0: no need to mask it.
            if is_simple(regularizer):
                return penalty(regularizer, kernel)
            return regularizer(self.masked(kernel))

        return {
            "initializer": initialize,
            "regularizer": regularize if regularizer else None,
            "constraint": MaskConstraint(self.kernel_mask, constraint),
        }

    def _first_mask(self) -> np.ndarray:
        grid = self.kernel_units.grid
        return self.kernel_units.spread(
            random_mask(grid, self.sparsity, self.seed)
        )

    def masked(self, kernel: Any) -> Any:
        """Returns the kernel to compute with: its gradient is masked."""
        # Values, not variables: Keras' conversion leaves a variable a variable
        # in eager execution, and a custom gradient refuses those.
        return masked_kernel(
            tf.convert_to_tensor(kernel), tf.convert_to_tensor(self.kernel_mask)
        )

    def set_mask(self, mask: Any) -> None:
        """Replaces the mask, and sets to 0 the weights it makes inactive.

        Args:
            mask: Array of the kernel's shape, of zeros and ones; equal
                throughout each unit.

        Raises:
            ValueError: If the shape differs, there are other values, or a
                unit is masked in part.
        """
        mask = np.asarray(mask)
        if mask.shape != tuple(self.kernel.shape):
            raise ValueError(
                f"`mask` must have the kernel's shape {self.kernel.shape}. "
                f"Received: mask.shape={mask.shape}"
            )
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                "`mask` must hold only zeros and ones. "
                f"Received: {np.unique(mask)[:5]}"
            )
        self.kernel_units.of_mask(mask)
        self.kernel_mask.assign(mask.astype(bool))
        self.kernel.assign(_masked(ops.convert_to_tensor(self.kernel), mask))

    @property
    def num_active(self) -> int:
        """Exact number of active weights."""
        return int(np.count_nonzero(ops.convert_to_numpy(self.kernel_mask)))

    @property
    def unit_size(self) -> int:
        """Number of weights that the mask moves as one."""
        return self.kernel_units.size

    def num_kept(self, sparsity: float) -> int:
        """Returns how many weights a new mask of this sparsity would keep."""
        return self.kernel_units.num_kept(sparsity)

    @property
    def trained_kernel(self) -> keras.Variable:
        """The variable that the optimizer trains: the kernel."""
        return self.kernel

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(_NO_LORA)

    # The Keras layers save kernel and bias only: without these two a model
    # saves, then fails to load.
    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        if self.built:
            store["kernel_mask"] = self.kernel_mask

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        if self.built:
            self.kernel_mask.assign(store["kernel_mask"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sparsity": self.sparsity,
            "granularity": self.granularity,
            "seed": self.seed,
        }


_NO_LORA = (
    "LoRA adds a dense matrix to the kernel, which a sparse layer cannot "
    "hold. Leave `lora_rank` out, or replace the sparse layer by its Keras "
    "base layer."
)
