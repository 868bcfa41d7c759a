"""Counts the multiply-adds that the training of a sparse model takes."""

import math
from dataclasses import dataclass

import keras

from dsr_tf.analysis.calls import traced_calls
from dsr_tf.analysis.flops import num_uses
from dsr_tf.analysis.kernels import kernels_of
from dsr_tf.analysis.kernels import num_active
from dsr_tf.analysis.kernels import shapes_of
from dsr_tf.graph.places import places
from dsr_tf.layers import HashedKernel

# The forward pass, the gradient of the inputs, and that of the kernels.
_PASSES = 3


@dataclass(frozen=True)
class _Product:
    """The products of one layer with its kernels, for one example.

    Args:
        layer: The layer.
        uses: How often each weight is multiplied.
        weights: Entries of its kernels, zeros included.
    """

    layer: keras.layers.Layer
    uses: int
    weights: int

    @property
    def left(self) -> int:
        """Entries that are not zeros; a hashed kernel has none."""
        if isinstance(self.layer, HashedKernel):
            return self.weights
        return num_active(self.layer)


class TrainingCost:
    """Counts the multiply-adds of training steps, zeros skipped.

    An example takes those of the forward pass three times: for the outputs, the
    gradient of the inputs, also of the first layer's, and the gradient of the
    kernels. A step that keeps gradients of all positions takes the last of
    these for all weights, also those that are zeros, in sparse layers. As in
    `dsr_tf.summary`, these are products with the weights of kernels alone. The
    optimizer's work is left out, and so is that of reallocations.

    Args:
        model: A built model. Masks are read at each call.

    Reference:
        [Evci et al., 2020](https://arxiv.org/abs/1911.11134), appendix on
        FLOPs.
    """

    def __init__(self, model: keras.Model) -> None:
        calls = traced_calls(model)
        layers = {id(x.layer): x.layer for x in places(model)}.values()
        self._products: list[_Product] | None = []
        for layer in filter(kernels_of, layers):
            uses = num_uses(layer, calls.get(id(layer), ()))
            if uses is None or self._products is None:
                self._products = None
                continue
            weights = sum(map(math.prod, shapes_of(layer)))
            self._products.append(_Product(layer, uses, weights))

    def of_steps(self, examples: int, with_all_positions: int) -> int | None:
        """Returns the multiply-adds of some steps at the masks of now.

        Args:
            examples: Examples that are trained in these steps.
            with_all_positions: How many of them are in steps that keep
                gradients of all positions.

        Returns:
            The number; None if it is not known of a layer, as `dsr_tf.summary`
            says.
        """
        if self._products is None:
            return None
        forward = sum(x.uses * x.left for x in self._products)
        dense = sum(x.uses * x.weights for x in self._products)
        skipped = dense - forward
        return _PASSES * examples * forward + with_all_positions * skipped
