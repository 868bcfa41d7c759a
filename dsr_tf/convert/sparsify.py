"""Any Keras model, made sparse."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging

from dsr_tf.checks import checked_choice
from dsr_tf.checks import checked_switch
from dsr_tf.convert.clone import check_built
from dsr_tf.convert.exchange import kernel_seeds
from dsr_tf.convert.exchange import make_sparse
from dsr_tf.convert.exchange import with_sparse_kernels
from dsr_tf.convert.few_units import warn_of_few_units
from dsr_tf.convert.kernel_sparsities import Distribution
from dsr_tf.convert.kernel_sparsities import all_made
from dsr_tf.convert.kernel_sparsities import kernel_sparsities
from dsr_tf.convert.kernel_sparsities import kernel_units
from dsr_tf.convert.select import Candidate
from dsr_tf.convert.select import candidates
from dsr_tf.convert.select import select
from dsr_tf.convert.small_blocks import warn_of_small_blocks
from dsr_tf.convert.stored import check_stored
from dsr_tf.convert.stored import storages
from dsr_tf.graph.kinds import is_kernel
from dsr_tf.graph.places import dense_reasons
from dsr_tf.graph.places import places
from dsr_tf.layers.trained_variable import TrainedVariable
from dsr_tf.layers.tree import own_weights
from dsr_tf.units import Granularity
from dsr_tf.units import GranularityLike


def sparsify(
    model: keras.Model,
    sparsity: float | None = None,
    distribution: Distribution = "uniform",
    include: Any = None,
    exclude: Any = None,
    granularity: GranularityLike = "weight",
    keep: str = "random",
    seed: int = 0,
    in_place: bool = False,
    storage: str = "masks",
) -> keras.Model:
    """Makes a sparse copy of a Keras model.

    The kernels of all its layers become sparse: of convolutions, dense layers,
    attention, recurrent cells and one's own layers, in wrappers, nested models
    and models in code. Depthwise kernels, embeddings and other weights stay
    dense. The copy has the same names, dtype policies, weights and `compile`
    arguments; its optimizer starts anew. Layers that code makes without a name
    get a new one. The model itself is not changed.

    By default the first convolution behind each input and the 1×1 convolutions
    of residual shortcuts stay dense, as in the paper. Which these are is known
    in sequential and functional models alone.

    Args:
        model: A built model. One that calls its layers in code, or a layer of
            one's own, is copied by its config.
        sparsity: Fraction of zeros over all sparse kernels together, in
            `[0, 1)`. They keep exactly `int((1 - sparsity) * size + 0.1)`
            weights; with slices or blocks, to within one of these.
        distribution: How these weights are split between kernels. `"uniform"`:
            equal density. `"erk"`: in proportion to the sum of a kernel's
            dimensions, so that large kernels become sparser
            (Erdős–Rényi-kernel). A mapping from patterns, as in `include`, to
            sparsities: all layers that a pattern matches get equal density.
            Layers that no pattern matches get `sparsity`, or stay dense if
            that is None. A `Balanced`: each kernel gets as many as it has of
            the weights that matter most to the loss of one batch. So with any
            function that gets the model and its kernels, and returns for each
            kernel an array of scores.
        include: Layers to make sparse: a name, a glob such as `"block_*"`, a
            compiled regular expression, a class, a function from layer to
            bool, or a list of these. It may name layers that stay dense by
            default, such as an `Embedding`, and layers and models that contain
            others.
        exclude: Layers to leave dense, given in the same ways.
        granularity: The unit that masks move: `"weight"`; `"kernel"`, slices
            of convolutions; or blocks of so many rows and columns, such as
            `(16, 16)` or `"16x16"`. Rows are inputs of a kernel and columns
            its outputs. Kernels of dense layers, attention, 1×1 convolutions
            and all others of two axes have blocks. Along an axis that the block
            does not divide, it has the length of the largest divisor below; a
            warning names the kernels whose blocks become small. Other kernels
            have single weights.
        keep: Which weights a kernel keeps: `"random"` weights, as in the paper,
            or the weights of largest `"magnitude"`, for a trained model.
        seed: Non-negative integer. Equal seeds give equal masks.
        in_place: Whether to make the model itself sparse instead of a copy,
            for models that cannot be copied.
        storage: `"masks"`: kernels keep their dense shape, under a mask.
            `"blocks"`, with a `granularity` of blocks: layers store active
            blocks alone, and compute with them, which saves time and memory in
            training. That goes for `Dense`, `EinsumDense` (so for attention)
            and 1×1 convolutions; a warning names the others, which keep masks.
            `"auto"`: blocks where that makes a training step faster, by what
            was measured of layers of such a size, density and block.

    A warning names kernels that keep fewer weights than they have outputs, as
    some of these then have no input.

    Returns:
        A new model, or the model itself.

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
    check_built(model)
    moved = Granularity.of(granularity)
    checked_choice("keep", keep, ("random", "magnitude"))
    checked_switch("in_place", in_place)
    check_stored(storage, moved)
    chosen = select(model, candidates(model), include, exclude)
    warn_of_small_blocks(model, chosen, moved)
    kernels = [kernel for x in chosen for kernel in x.kernels]
    units = kernel_units(chosen, moved)
    sparsities = kernel_sparsities(model, chosen, sparsity, distribution, moved)
    warn_of_few_units(model, chosen, units, sparsities)
    made = all_made(
        sparsities,
        units,
        kernel_seeds(kernels, seed),
        storages(model, chosen, units, sparsities, storage, moved),
    )
    if include is None:
        _warn_of_little(model, chosen)
    convert = make_sparse if in_place else with_sparse_kernels
    return convert(model, made, keep_largest=keep == "magnitude")


def _warn_of_little(model: keras.Model, chosen: Sequence[Candidate]) -> None:
    """Says what stays dense, if that is more than half of a model's kernels."""
    own = {id(kernel) for x in chosen for kernel in x.kernels}
    reason = dense_reasons(model)
    sparse, dense = 0, {}
    for place in places(model):
        for weight in filter(is_kernel, own_weights(place.layer)):
            size = math.prod(weight.shape)
            if id(weight) in own or isinstance(weight, TrainedVariable):
                sparse += size
            else:
                text = f"{place.path} ({size:,}: {reason(place)})"
                dense[text] = size
    if sparse < sum(dense.values()):
        largest = sorted(dense, key=lambda text: -dense[text])[:5]
        share = sparse / (sparse + sum(dense.values()))
        logging.warning(
            "%.3g %% of the kernel weights of model '%s' become sparse. The "
            "largest that stay dense: %s.",
            100 * share,
            model.name,
            ", ".join(largest),
        )
