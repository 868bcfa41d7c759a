"""Counts the weights and the multiply-adds of a model."""

import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.analysis.calls import Calls
from dsr_tf.analysis.calls import traced_calls
from dsr_tf.analysis.dead_units import DeadUnits
from dsr_tf.analysis.dead_units import dead_units
from dsr_tf.analysis.flops import num_uses
from dsr_tf.analysis.kernels import budgeted
from dsr_tf.analysis.kernels import count
from dsr_tf.analysis.kernels import kernels_of
from dsr_tf.analysis.kernels import num_active
from dsr_tf.analysis.kernels import num_budgeted
from dsr_tf.analysis.kernels import shapes_of
from dsr_tf.analysis.model_summary import LayerSummary
from dsr_tf.analysis.model_summary import ModelSummary
from dsr_tf.analysis.model_summary import Totals
from dsr_tf.analysis.table import table
from dsr_tf.checks import checked_function
from dsr_tf.graph.places import Place
from dsr_tf.graph.places import dense_reasons
from dsr_tf.graph.places import places
from dsr_tf.layers import BlockKernel
from dsr_tf.layers import HashedKernel
from dsr_tf.layers import SparseKernel
from dsr_tf.layers.step_cost import step_cost
from dsr_tf.layers.tree import all_layers
from dsr_tf.layers.walk import budgeted_parts


def summary(
    model: keras.Model,
    input_shape: Sequence[int] | None = None,
    print_fn: Callable[[str], Any] | None = print,
) -> ModelSummary:
    """Reports which layers of a model are sparse, which are not, and why.

    Every layer with a kernel has a row, wherever in the model it is. A layer
    that is called several times has one row: its weights are counted once, and
    its multiply-adds at every call.

    Multiply-adds are counted for one example and with the weights of kernels,
    as is usual. Additions of biases, normalisations, activations, and products
    of two activations, as in attention, are left out. The sparse multiply-adds
    are those left if zeros are skipped; dense hardware does not skip them. The
    numbers are not known for a user's own layers, for recurrent layers, and for
    open dimensions. They are then shown as `?`, and sums over them as `>=`.

    Inputs and outputs of sparse layers are dead if no active weight is left to
    them; of convolutions they are channels. The table says where some are.

    Parameters are counted without masks. Zeros are the weights that a mask sets
    to 0; zeros in a dense kernel are counted as weights.

    Args:
        model: A built model, of any kind.
        input_shape: Shape of an example, without the batch, if the model
            leaves dimensions of its one input open.
        print_fn: A function that is called with the table, a text without
            control characters. With `print`, the table is made no wider than
            the terminal if possible. With None, nothing is printed.

    Returns:
        The numbers.

    Raises:
        ValueError: If `model` is not a built Keras model, or does not accept
            `input_shape`, or `print_fn` is not a function.

    Example:
    >>> model = dsr_tf.models.lenet_300_100(sparsity=0.99)
    >>> dsr_tf.summary(model, print_fn=None).model.sparse_multiply_adds
    2662
    """
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            "`model` must be a built Keras model. Give it a `keras.Input`, "
            "call `model.build(input_shape)`, or fit it. "
            f"Received: model={model!r}"
        )
    checked_function("print_fn", print_fn, optional=True)
    rows = _rows(model, traced_calls(model, input_shape))
    sparse = budgeted(model)
    masks = [mask for layer in sparse for mask in _masks(layer)]
    kernels = [w for layer in all_layers(model) for w in kernels_of(layer)]
    weights = _without(model.weights, masks)
    result = ModelSummary(
        name=model.name,
        layers=tuple(rows),
        other_parameters=count(_without(weights, kernels)),
        sparse=_totals(
            [row for row in rows if row.state != "dense"],
            [layer.trained_kernel for layer in sparse],
            masks,
        ),
        model=_totals(rows, weights, masks),
    )
    if print_fn is not None:
        print_fn(table(result, fit=print_fn is print))
    return result


def _rows(model: keras.Model, calls: Calls) -> list[LayerSummary]:
    budget = sum(layer.num_active for layer in budgeted(model))
    reason = dense_reasons(model) if budget else None
    return [
        _row(
            place,
            num_uses(place.layer, calls.get(id(place.layer), ())),
            budget,
            reason,
        )
        for place in places(model)
        if kernels_of(place.layer)
    ]


def _row(
    place: Place,
    uses: int | None,
    budget: int,
    reason: Callable[[Place], str] | None,
) -> LayerSummary:
    layer = place.layer
    state, shapes = _state(layer), shapes_of(layer)
    dead = _dead_units(layer)
    weights = sum(math.prod(shape) for shape in shapes)
    dense = state == "dense"
    active = weights if dense else num_active(layer)
    # A hashed kernel has no zeros to skip.
    left = active if state == "sparse" else weights
    return LayerSummary(
        name=place.path,
        kind=type(layer).__name__,
        kernel_shapes=shapes,
        weights=weights,
        active=active,
        sparsity=1 - active / weights,
        budget_share=None if dense else num_budgeted(layer) / budget,
        multiply_adds=None if uses is None else uses * weights,
        sparse_multiply_adds=None if uses is None else uses * left,
        state=state,
        storage=_storage(layer),
        granularity=_granularity(layer),
        step_cost=_step_cost(layer),
        reason=reason(place) if dense and reason else None,
        dead_inputs=dead.inputs if dead else None,
        dead_outputs=dead.outputs if dead else None,
    )


def _totals(
    rows: Sequence[LayerSummary],
    weights: Sequence[keras.Variable],
    masks: Sequence[keras.Variable],
) -> Totals:
    saved = {"masks": 0, "blocks": 0, "hashed": 0, None: 0}
    for row in rows:
        saved[row.storage] += row.weights - row.active
    parameters = count(weights)
    return Totals(
        parameters=parameters,
        active_parameters=parameters - saved["masks"],
        dense_parameters=parameters + saved["hashed"] + saved["blocks"],
        mask_entries=count(masks),
        bytes=_bytes(weights),
        mask_bytes=_bytes(masks),
        multiply_adds=sum(row.multiply_adds or 0 for row in rows),
        sparse_multiply_adds=sum(row.sparse_multiply_adds or 0 for row in rows),
        multiply_adds_complete=all(
            row.multiply_adds is not None for row in rows
        ),
    )


def _state(layer: keras.layers.Layer) -> str:
    if isinstance(layer, HashedKernel):
        return "hashed"
    return "sparse" if budgeted_parts(layer) else "dense"


def _storage(layer: keras.layers.Layer) -> str | None:
    if isinstance(layer, HashedKernel):
        return "hashed"
    stored = [x.storage for x in budgeted_parts(layer)]  # type: ignore
    return stored[0] if stored else None


def _granularity(layer: keras.layers.Layer) -> str | None:
    """Returns what moves as one, of the first sparse kernel of a layer."""
    for part in budgeted_parts(layer):
        if isinstance(part, SparseKernel) and part.built:
            units = part.kernel_units
            if units.granularity.block is None:
                return str(units.granularity)
            return "x".join(map(str, units.block))
    return None


def _step_cost(layer: keras.layers.Layer) -> float | None:
    if not isinstance(layer, BlockKernel) or not layer.built:
        return None
    units = layer.kernel_units
    return step_cost(units, layer.num_active / units.num_weights)


def _dead_units(layer: keras.layers.Layer) -> DeadUnits | None:
    """Counts dead units of all sparse kernels of a layer; None without any."""
    parts = [x for x in budgeted_parts(layer) if isinstance(x, SparseKernel)]
    found = [dead_units(part) for part in parts if part.built]
    if not found:
        return None
    inputs, outputs = (sum(x) for x in zip(*map(astuple, found), strict=True))
    return DeadUnits(inputs, outputs)


def _masks(layer: SparseKernel | HashedKernel) -> list[keras.Variable]:
    if isinstance(layer, SparseKernel):
        return [layer.placement]
    return [layer.bank_index, layer.bank_order, layer.map_seed]


def _without(
    weights: Iterable[keras.Variable], others: Iterable[keras.Variable]
) -> list[keras.Variable]:
    apart = {id(weight) for weight in others}
    return [weight for weight in weights if id(weight) not in apart]


def _bytes(weights: Iterable[keras.Variable]) -> int:
    return sum(math.prod(w.shape) * tf.as_dtype(w.dtype).size for w in weights)
