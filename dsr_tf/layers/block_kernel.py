"""What every layer that stores blocks adds to the Keras layer it extends."""

import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.layers.block_product import Watch
from dsr_tf.layers.block_product import block_product
from dsr_tf.layers.block_variable import BlockPositions
from dsr_tf.layers.block_variable import BlockVariable
from dsr_tf.layers.block_variable import checked_positions
from dsr_tf.layers.block_variable import in_columns
from dsr_tf.layers.block_variable import stacked
from dsr_tf.layers.first_blocks import first_blocks
from dsr_tf.layers.kernel_mask import checked_mask
from dsr_tf.layers.kernel_units import input_axes
from dsr_tf.layers.kernel_units import warn_of_small_blocks
from dsr_tf.layers.masked_kernel import no_lora
from dsr_tf.layers.masked_kernel import no_quantization
from dsr_tf.layers.penalty import is_simple
from dsr_tf.layers.random_mask import random_mask
from dsr_tf.layers.sparse_kernel import SparseKernel
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike
from dsr_tf.units import Units


class BlockKernel(SparseKernel, keras.layers.Layer):
    """Stores the active blocks of a layer's `kernel`, and nothing else.

    Name it before the Keras layer among the bases. The layer computes what the
    sparse layer with a mask of the same blocks does, to rounding; values,
    gradients and optimizer slots exist for the active blocks alone, and no
    step makes a dense kernel. `kernel` and `kernel_mask` are computed when they
    are read, and cannot be assigned: use `assign_kernel` and `set_mask`.

    Blocks are initialized with the scale that the dense kernel would have.

    Args:
        *args: Arguments of the Keras layer. The regularizer of the kernel is
            L1, L2 or both, its constraint `NonNeg`, or there is none: others
            need the dense kernel.
        sparsity: Fraction of zeros in the kernel, in `[0, 1)`. The layer starts
            with `int((1 - sparsity) * count + 0.1)` of its blocks, at least 1,
            at positions drawn uniformly.
        granularity: Rows and columns of a block, such as `(32, 32)`. Along an
            axis that it does not divide, a block has the length of the axis'
            largest divisor below.
        seed: Seed of the first positions, a non-negative integer: equal seeds,
            equal positions for equal shapes. By default it is drawn from the
            generator that `keras.utils.set_random_seed` sets.
        **kwargs: Arguments of the Keras layer.

    Raises:
        ValueError: If an argument is out of its range.
    """

    storage = "blocks"

    def __init__(
        self,
        *args: Any,
        sparsity: float,
        granularity: GranularityLike,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("lora_rank") is not None:
            raise ValueError(no_lora())
        super().__init__(*args, **kwargs)
        self.sparsity = checked_fraction("sparsity", sparsity)
        self.granularity = str(Granularity.of(granularity, ()))
        # `random` is what Keras' own initializers draw their seeds from.
        self.seed = checked_count(
            "seed", random.randint(0, 2**31 - 1) if seed is None else seed
        )
        check_elementwise(self)
        self._num_blocks: int | None = None

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if kwargs.get("name") != "kernel":
            return super().add_weight(*args, **kwargs)
        # Not `units`, which is the size of a `Dense`.
        self.kernel_units = Units(
            tuple(kwargs["shape"]),
            Granularity.of(self.granularity, ()),
            input_axes(self),
        )
        if self._num_blocks is None:
            # A file was told of when it was made.
            warn_of_small_blocks(self.name, self.kernel_units)
        positions = first_positions(
            self.kernel_units, self.sparsity, self.seed, self._num_blocks
        )
        with keras.name_scope(self.name, caller=self):
            self.kernel_positions = BlockPositions(
                positions, "kernel_positions"
            )
            self.kernel_blocks = self._block_variable(positions, **kwargs)
        return self.kernel_blocks

    def _block_variable(
        self,
        positions: np.ndarray,
        shape: Any,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> BlockVariable:
        units = self.kernel_units
        initializer = keras.initializers.get(initializer or "glorot_uniform")

        def initialize(_: Any, dtype: Any) -> Any:
            return first_blocks(initializer, units, positions, dtype)

        kwargs["name"] = "kernel_blocks"
        blocks = BlockVariable(
            self.kernel_positions,
            units,
            keras.constraints.get(constraint),
            shape=(len(positions), *units.block),
            initializer=initialize,
            dtype=dtype or self.variable_dtype,
            **kwargs,
        )
        blocks.regularizer = keras.regularizers.get(regularizer)
        return blocks

    def multiply(self, inputs: Any) -> Any:
        """Multiplies inputs by the kernel as a matrix.

        Args:
            inputs: Shape `(batch, inputs)`; `kernel_units.matrix` has the
                number of inputs and of outputs.
        """
        blocks = ops.convert_to_tensor(self.kernel_blocks)
        positions = tf.convert_to_tensor(self.kernel_positions)
        units = self.kernel_units
        inputs = ops.cast(inputs, blocks.dtype)
        expected = units.num_kept(self.sparsity) // units.size
        grid: Any = units.grid
        return block_product(
            inputs, blocks, positions, grid, expected, self._watch()
        )

    def _watch(self) -> Watch | None:
        """Returns what keeps the gradient of all blocks, if it is to be."""
        record, units = self.kernel_blocks.record, self.kernel_units
        if record is None:
            return None
        probes = record.probes(lambda: self.kernel_blocks.value)

        def gradients(inputs: tf.Tensor, upstream: tf.Tensor) -> Any:
            def product() -> tf.Tensor:
                return units.of_matrix(
                    tf.matmul(inputs, upstream, transpose_a=True)
                )

            return record.gradients_of(probes, product)

        return Watch(gradients, probes)

    def finish(self, outputs: Any) -> Any:
        """Adds the bias, and applies the activation."""
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    @property
    def kernel(self) -> tf.Tensor:
        """The kernel, a tensor of the dense shape."""
        columns = in_columns(self._units, self.kernel_blocks)
        return self._spread(columns)

    @property
    def kernel_mask(self) -> tf.Tensor:
        """The mask, a tensor of bool, of the dense shape."""
        units = self._units
        count = tf.shape(self.kernel_positions)[0]
        # As numbers: a GPU scatters no bool.
        return self._spread(tf.ones([units.size, count])) > 0

    @property
    def _units(self) -> Units:
        if not self.built:
            raise AttributeError(
                "You must build the layer before accessing `kernel`."
            )
        return self.kernel_units

    def _spread(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns the dense tensor of a column for each block, 0 elsewhere."""
        units = self.kernel_units
        positions = tf.convert_to_tensor(self.kernel_positions)
        shape = tf.constant([units.count, units.size], tf.int64)
        rows = tf.scatter_nd(positions[:, None], tf.transpose(columns), shape)
        return units.kernel(tf.transpose(rows))

    def set_mask(self, mask: Any) -> None:
        units = self.kernel_units
        entries = units.of_mask(checked_mask(mask, units))
        self.kernel_blocks.move(np.flatnonzero(entries))

    def assign_kernel(self, kernel: Any) -> None:
        kernel = ops.convert_to_tensor(kernel, self.kernel_blocks.dtype)
        positions = tf.convert_to_tensor(self.kernel_positions)
        columns = tf.gather(self.kernel_units.rows(kernel), positions, axis=1)
        self.kernel_blocks.assign(stacked(self.kernel_units, columns))

    @property
    def num_active(self) -> int:
        return self.kernel_units.size * int(self.kernel_positions.shape[0])

    @property
    def trained_kernel(self) -> BlockVariable:
        return self.kernel_blocks

    @property
    def placement(self) -> BlockPositions:
        return self.kernel_positions

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_lora())

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(no_quantization(self.name))

    def save_own_variables(self, store: Any) -> None:
        if not self.built:
            return
        store["kernel_shape"] = np.asarray(self.kernel_units.shape)
        store["kernel_positions"] = self.kernel_positions
        store["kernel_blocks"] = self.kernel_blocks
        if self.bias is not None:
            store["bias"] = self.bias

    def load_own_variables(self, store: Any) -> None:
        if not self.built:
            super().load_own_variables(store)
            return
        positions, blocks = self._checked_store(store)
        self.kernel_blocks.move(positions)
        self.kernel_blocks.assign(blocks)
        if self.bias is not None:
            self.bias.assign(store["bias"])

    def _checked_store(self, store: Any) -> tuple[np.ndarray, np.ndarray]:
        expected = {"kernel_shape", "kernel_positions", "kernel_blocks"}
        if self.bias is not None:
            expected.add("bias")
        units = self.kernel_units
        if set(store.keys()) != expected:
            raise ValueError(
                f"Layer '{self.name}' can load only a file that a layer of its "
                f"class saved, with {sorted(expected)}. "
                f"Received: {sorted(store.keys())}"
            )
        shape = tuple(np.atleast_1d(store["kernel_shape"]).tolist())
        positions = np.asarray(store["kernel_positions"])
        blocks = np.asarray(store["kernel_blocks"])
        if shape != units.shape or blocks.shape[1:] != units.block:
            raise ValueError(
                f"Layer '{self.name}' must load a kernel of shape "
                f"{units.shape} and blocks of {units.block}. Received: shape "
                f"{shape} and blocks of {blocks.shape[1:]}"
            )
        checked_positions(positions, units)
        if len(positions) != len(blocks):
            raise ValueError(
                f"Layer '{self.name}' must load a block for each of its "
                f"positions. Received: {len(blocks)} blocks and "
                f"{len(positions)} positions. The file is damaged"
            )
        return positions, blocks

    # Slots that are loaded have the shape of the blocks that there are then.
    def get_build_config(self) -> dict[str, Any] | None:
        config = super().get_build_config()
        if config is None or not self.built:
            return config
        count = int(self.kernel_positions.shape[0])
        return {**config, "num_blocks": count}

    def build_from_config(self, config: dict[str, Any]) -> None:
        config = dict(config)
        self._num_blocks = config.pop("num_blocks", None)
        super().build_from_config(config)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sparsity": self.sparsity,
            "granularity": self.granularity,
            "seed": self.seed,
        }


def first_positions(
    units: Units, sparsity: float, seed: int, count: int | None = None
) -> np.ndarray:
    """Draws the positions of the first blocks, ascending, int64.

    They are those of the first mask of the same arguments.

    Args:
        units: The units of the kernel.
        sparsity: Fraction of zeros, in `[0, 1)`.
        seed: Non-negative integer.
        count: Number of blocks, where it is not that of the sparsity.
    """
    if count is not None:
        sparsity = 1 - count / units.count
    return np.flatnonzero(random_mask(units.grid, sparsity, seed))


def elementwise_only(layer: Any) -> bool:
    """Tells whether penalty and constraint of a kernel need no dense kernel."""
    try:
        check_elementwise(layer)
    except ValueError:
        return False
    return True


def check_elementwise(layer: Any) -> None:
    """Refuses a penalty or constraint that needs the dense kernel.

    Args:
        layer: A layer with a kernel.

    Raises:
        ValueError: If it has one.
    """
    regularizer = getattr(layer, "kernel_regularizer", None)
    if regularizer is not None and not is_simple(regularizer):
        raise ValueError(
            "`kernel_regularizer` must be None, L1, L2 or L1L2 where only "
            "blocks are stored: others need the dense kernel. Store masks "
            f"instead. Received: {regularizer} in layer '{layer.name}'"
        )
    constraint = getattr(layer, "kernel_constraint", None)
    if constraint is not None and type(constraint) is not _NON_NEGATIVE:
        raise ValueError(
            "`kernel_constraint` must be None or NonNeg where only blocks are "
            "stored: others need the dense kernel. Store masks instead. "
            f"Received: {constraint} in layer '{layer.name}'"
        )


_NON_NEGATIVE = keras.constraints.NonNeg
