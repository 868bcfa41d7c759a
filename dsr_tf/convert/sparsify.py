"""Any Keras model, made sparse."""

from collections.abc import Mapping
from typing import Any

import keras

from dsr_tf.checks import checked_choice
from dsr_tf.convert.clone import check_convertible
from dsr_tf.convert.exchange import layer_seeds
from dsr_tf.convert.exchange import with_sparse_kernels
from dsr_tf.convert.layer_sparsities import layer_sparsities
from dsr_tf.convert.select import select
from dsr_tf.units import Granularity


def sparsify(
    model: keras.Model,
    sparsity: float | None = None,
    distribution: str | Mapping[Any, float] = "uniform",
    include: Any = None,
    exclude: Any = None,
    granularity: str = "weight",
    keep: str = "random",
    seed: int = 0,
) -> keras.Model:
    """Makes a sparse copy of a Keras model.

    Dense, EinsumDense and Conv1D to Conv3D layers are replaced by their sparse
    kinds; all other layers are copied. The copy has the same names, dtype
    policies, weights and `compile` arguments; its optimizer starts anew. The
    model itself is not changed.

    By default the first convolution behind each input and the 1×1 convolutions
    of residual shortcuts stay dense, as in the paper.

    Args:
        model: A built sequential or functional model. Layers of nested models
            are replaced too; layers of wrappers and of subclassed models are
            not.
        sparsity: Fraction of zeros over all sparse kernels together, in
            `[0, 1)`. They keep exactly `int((1 - sparsity) * size + 0.1)`
            weights; with `granularity="kernel"`, to within a slice.
        distribution: How these weights are split between kernels. `"uniform"`:
            equal density. `"erk"`: in proportion to the sum of a kernel's
            dimensions, so that large kernels become sparser
            (Erdős–Rényi-kernel). A mapping from patterns, as in `include`, to
            sparsities: all layers that a pattern matches get equal density.
            Layers that no pattern matches get `sparsity`, or stay dense if
            that is None.
        include: Layers to make sparse: a name, a glob such as `"block_*"`, a
            compiled regular expression, a class, a function from layer to
            bool, or a list of these. It may name layers that stay dense by
            default.
        exclude: Layers to leave dense, given in the same ways.
        granularity: The unit that masks of convolutions move: `"weight"` or
            `"kernel"`.
        keep: Which weights a kernel keeps: `"random"` weights, as in the paper,
            or the weights of largest `"magnitude"`, for a trained model.
        seed: Non-negative integer. Equal seeds give equal masks.

    Returns:
        A new model.

    Raises:
        ValueError: If an argument is out of its range, a pattern matches no
            layer, or the model cannot be converted.

    Example:
    >>> model = keras.applications.MobileNetV2(weights=None)
    >>> sparse = dsr_tf.sparsify(model, 0.9)

    Reference:
        [Mostafa & Wang, 2019](https://arxiv.org/abs/1902.05967);
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134) for `"erk"`.
    """
    check_convertible(model)
    moved = Granularity.of(granularity)
    checked_choice("keep", keep, ("random", "magnitude"))
    chosen = select(model, include, exclude)
    return with_sparse_kernels(
        model,
        layer_sparsities(chosen, sparsity, distribution, moved),
        layer_seeds(chosen, seed),
        moved,
        keep_largest=keep == "magnitude",
    )
