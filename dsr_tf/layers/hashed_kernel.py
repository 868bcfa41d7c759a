"""What every hashed layer adds to the Keras layer it extends."""

import math
import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.layers.balanced_map import balanced_map
from dsr_tf.layers.balanced_map import bank_size


@ops.custom_gradient
def hashed_kernel(bank: Any, index: Any, order: Any) -> tuple[Any, Any]:
    """Spreads a bank over a kernel, and sums the gradient back.

    The sum runs in one order and in float32 or wider, so equal inputs give
    equal gradients bit for bit.

    Args:
        bank: Values, rank 1.
        index: Bank entry of each kernel position, of the kernel's shape.
        order: Permutation of the flat positions, as of `balanced_map`.
    """

    def grad(upstream: Any) -> tuple[Any, None, None]:
        return _bank_gradient(upstream, order, bank.shape[0]), None, None

    return tf.gather(bank, index), grad


def _sampled(kernel: Any, positions: Any) -> Any:
    return tf.gather(tf.reshape(kernel, [-1]), positions)


def _bank_gradient(upstream: Any, order: Any, count: int) -> Any:
    # Gathers only: to scatter is slow, and on a GPU sums in any order.
    ordered = tf.gather(tf.reshape(upstream, [-1]), order)
    ordered = ops.cast(
        ordered, keras.backend.result_type(upstream.dtype.name, "float32")
    )
    rows = tf.pad(ordered, [[0, -order.shape[0] % count]])
    total = tf.reduce_sum(tf.reshape(rows, [-1, count]), axis=0)
    return ops.cast(total, upstream.dtype.name)


class HashedKernel(keras.layers.Layer):
    """Makes the `kernel` of a layer from a smaller, trainable `bank`.

    Name it before the Keras layer among the bases. A fixed random map
    gives each kernel position one bank entry, and all entries as many
    positions, to within one. (HashedNets hash the position instead, and so
    leave some entries with many positions and some with none.) `kernel` is
    computed from the bank, cannot be assigned, and has the dense shape.

    Regularizer and constraint of the kernel act on the bank, a vector. So a
    penalty counts each parameter once, however many positions share it, and a
    constraint on rows or columns has no meaning.

    Keras files hold bank, bias, kernel shape and seed. The map is made again
    from the seed in the file, which replaces the layer's own.

    Args:
        *args: Arguments of the Keras layer.
        sparsity: Fraction of parameters saved, in `[0, 1)`. The bank has
            `round((1 - sparsity) * size)` values, at least 1.
        seed: Seed of the map, an integer from 0 to `2**63 - 1`: equal seeds,
            equal maps for equal sizes. By default it is drawn from the
            generator that `keras.utils.set_random_seed` sets.
        **kwargs: Arguments of the Keras layer.

    Raises:
        ValueError: If an argument is out of its range.

    Reference:
        [Chen et al., 2015](https://arxiv.org/abs/1504.04788)
    """

    def __init__(
        self,
        *args: Any,
        sparsity: float,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("lora_rank") is not None:
            raise ValueError(_NO_LORA)
        super().__init__(*args, **kwargs)
        if self.quantization_mode is not None:
            raise ValueError(_NO_QUANTIZATION)
        self.sparsity = checked_fraction("sparsity", sparsity)
        # `random` is what Keras' own initializers draw their seeds from.
        self._seed = checked_count(
            "seed", random.randint(0, 2**31 - 1) if seed is None else seed
        )
        if self._seed >= 2**63:
            raise ValueError(
                "`seed` must be an integer from 0 to 2**63 - 1. "
                f"Received: seed={seed}"
            )

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") != "kernel":
            return super().add_weight(*args, **kwargs)
        shape = tuple(kwargs["shape"])
        size = math.prod(shape)
        count = bank_size(size, self.sparsity)
        index, order = balanced_map(size, count, self._seed)
        self.bank_index = self._add_fixed("bank_index", index.reshape(shape))
        self.bank_order = self._add_fixed("bank_order", order)
        # A weight, so that its seed is copied together with the map.
        self.map_seed = self._add_fixed("map_seed", np.asarray(self._seed))
        initializer = keras.initializers.get(
            kwargs["initializer"] or "glorot_uniform"
        )

        def initialize(_: Any, dtype: Any) -> Any:
            # At the dense shape, for the scale that the dense kernel has.
            return _sampled(initializer(shape, dtype=dtype), order[:count])

        self.bank = super().add_weight(
            *args,
            **{
                **kwargs,
                "name": "bank",
                "shape": (count,),
                "initializer": initialize,
            },
        )
        return self.bank

    def _add_fixed(self, name: str, values: np.ndarray) -> keras.Variable:
        return super().add_weight(
            name=name,
            shape=values.shape,
            initializer=lambda _, dtype: ops.convert_to_tensor(values, dtype),
            # TensorFlow keeps int32 variables off the GPU.
            dtype="int64",
            trainable=False,
            aggregation="only_first_replica",
        )

    @property
    def kernel(self) -> Any:
        """The kernel, a tensor of the dense shape."""
        if not self.built:
            raise AttributeError(
                "You must build the layer before accessing `kernel`."
            )
        # Values, not variables: a custom gradient refuses those.
        return hashed_kernel(
            tf.convert_to_tensor(self.bank),
            tf.convert_to_tensor(self.bank_index),
            tf.convert_to_tensor(self.bank_order),
        )

    def sample_kernel(self, kernel: Any) -> None:
        """Sets the bank to values of a dense kernel.

        Each bank entry gets the weight at one of its positions, drawn by the
        seed of the map.

        Args:
            kernel: Array of the dense shape.
        """
        positions = ops.convert_to_tensor(self.bank_order)[: self.num_active]
        self.bank.assign(_sampled(ops.convert_to_tensor(kernel), positions))

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """Shape of the kernel."""
        return tuple(self.bank_index.shape)

    @property
    def num_active(self) -> int:
        """Exact number of values in the bank."""
        return int(self.bank.shape[0])

    @property
    def trained_kernel(self) -> keras.Variable:
        """The variable that the optimizer trains: the bank."""
        return self.bank

    @property
    def seed(self) -> int:
        """Seed of the map, that of a loaded file included."""
        if not self.built:
            return self._seed
        return int(ops.convert_to_numpy(self.map_seed))

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(_NO_LORA)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(_NO_QUANTIZATION)

    def quantized_build(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(_NO_QUANTIZATION)

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        store["kernel_shape"] = np.asarray(self.bank_index.shape)
        store["seed"] = self.map_seed
        store["bank"] = self.bank
        if self.bias is not None:
            store["bias"] = self.bias

    def load_own_variables(self, store: Any) -> None:
        if not self.built:
            super().load_own_variables(store)
            return
        self._check_store(store)
        seed = int(np.asarray(store["seed"]))
        shape = self.bank_index.shape
        index, order = balanced_map(math.prod(shape), self.num_active, seed)
        self.bank_index.assign(index.reshape(shape))
        self.bank_order.assign(order)
        self.map_seed.assign(seed)
        self.bank.assign(store["bank"])
        if self.bias is not None:
            self.bias.assign(store["bias"])

    def _check_store(self, store: Any) -> None:
        expected = {"kernel_shape", "seed", "bank"}
        if self.bias is not None:
            expected.add("bias")
        if set(store.keys()) != expected:
            raise ValueError(
                f"Layer '{self.name}' can load only a file that a layer of its "
                f"class saved, with {sorted(expected)}. "
                f"Received: {sorted(store.keys())}"
            )
        # The shape too: a transposed kernel has a bank of the same size.
        own = (self.num_active,), tuple(self.bank_index.shape)
        saved = (
            tuple(store["bank"].shape),
            tuple(int(n) for n in np.asarray(store["kernel_shape"])),
        )
        if saved != own:
            raise ValueError(
                f"Layer '{self.name}' has a bank of shape {own[0]} for a "
                f"kernel of shape {own[1]}; the file must have the same. "
                "Received: "
                f"bank.shape={saved[0]}, kernel_shape={saved[1]}"
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sparsity": self.sparsity,
            "seed": self.seed,
        }


_NO_LORA = (
    "LoRA adds a dense matrix to the kernel, which a hashed layer cannot "
    "hold. Leave `lora_rank` out, or replace the hashed layer by its Keras "
    "base layer."
)
_NO_QUANTIZATION = (
    "Quantization replaces the kernel, which a hashed layer computes from its "
    "bank. Leave the layer out by the `filters` of `Model.quantize`, or "
    "replace it by its Keras base layer."
)
