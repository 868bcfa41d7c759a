"""Maps Keras layers to their sparse and hashed kinds, and back."""

from collections.abc import Mapping
from typing import Any

import keras

from dsr_tf import layers
from dsr_tf.units import WEIGHT
from dsr_tf.units import Granularity
from dsr_tf.units import Units

Kinds = Mapping[type[keras.layers.Layer], Any]
SPARSE_OF: dict[type[keras.layers.Layer], type[layers.MaskedKernel]] = {
    keras.layers.Dense: layers.SparseDense,
    keras.layers.EinsumDense: layers.SparseEinsumDense,
    keras.layers.Conv1D: layers.SparseConv1D,
    keras.layers.Conv2D: layers.SparseConv2D,
    keras.layers.Conv3D: layers.SparseConv3D,
}
HASHED_OF = {
    keras.layers.Dense: layers.HashedDense,
    keras.layers.Conv2D: layers.HashedConv2D,
}
DENSE_OF = {
    new: dense
    for kinds in (SPARSE_OF, HASHED_OF)
    for dense, new in kinds.items()
}
CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
# Weights that may have several axes, and are added to inputs or scale them.
_NO_KERNELS = ("alpha", "beta", "bias", "gamma", "mean", "variance", "vector_u")
_OWN_ARGUMENTS = ("sparsity", "granularity", "seed")


def has_sparse_kind(layer: keras.layers.Layer) -> bool:
    """Tells whether there is a sparse layer of exactly this class.

    A subclass has none: its `call` may use the kernel in its own way.
    """
    return type(layer) in SPARSE_OF


def is_kernel(weight: keras.Variable) -> bool:
    """Tells whether a weight is a kernel, which is multiplied with inputs.

    A kernel has two axes or more, and is neither a bias nor a weight of a
    normalisation.
    """
    return len(weight.shape) > 1 and weight.name not in _NO_KERNELS


def units_of(layer: keras.layers.Layer, granularity: Granularity) -> Units:
    """Returns the units of a layer's kernel, once it is made sparse.

    Args:
        layer: A built layer of a class that has a sparse kind.
        granularity: The kind of its units. If the sparse layer does not have
            it, units are single weights.
    """
    known = SPARSE_OF[type(layer)].granularities
    fitting = granularity if granularity in known else WEIGHT
    return Units(tuple(layer.kernel.shape), fitting)


def sparse_twin(
    layer: keras.layers.Layer,
    sparsity: float,
    granularity: Granularity,
    seed: int,
) -> keras.layers.Layer:
    """Makes a sparse layer with the arguments and name of a Keras layer."""
    kind: Any = SPARSE_OF[type(layer)]
    return kind.from_config(
        {
            **layer.get_config(),
            "sparsity": sparsity,
            "granularity": str(granularity),
            "seed": seed,
        }
    )


def hashed_twin(
    layer: keras.layers.Layer, sparsity: float, seed: int
) -> keras.layers.Layer:
    """Makes a hashed layer with the arguments and name of a Keras layer.

    Raises:
        ValueError: If the kernel has a `GroupLasso`.
    """
    if isinstance(layer.kernel_regularizer, layers.GroupLasso):
        raise ValueError(
            "`kernel_regularizer` must not be a GroupLasso in a layer that is "
            "to be hashed: the penalty would act on the bank of values, which "
            f"has no slices. Received: layer '{layer.name}'"
        )
    kind: Any = HASHED_OF[type(layer)]
    return kind.from_config(
        {**layer.get_config(), "sparsity": sparsity, "seed": seed}
    )


def dense_twin(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Makes the plain Keras layer of a sparse or hashed one.

    None for a layer that is plain Keras already. One that only has a
    `GroupLasso` is made anew, with its L1 and L2.
    """
    given = layer.get_config()
    config = _plain(dict(given))
    if type(layer) not in DENSE_OF:
        changed = config != given
        return type(layer).from_config(config) if changed else None
    for name in _OWN_ARGUMENTS:
        config.pop(name, None)
    return DENSE_OF[type(layer)].from_config(config)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Replaces a GroupLasso by the L1 and L2 it holds, which Keras knows."""
    for name, value in config.items():
        group_lasso = (
            isinstance(value, dict) and value.get("class_name") == "GroupLasso"
        )
        if group_lasso:
            kept = {k: value["config"][k] for k in ("l1", "l2")}
            config[name] = keras.regularizers.serialize(
                keras.regularizers.L1L2(**kept)
            )
    return config
