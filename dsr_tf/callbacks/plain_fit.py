"""Whether `fit` needs to mask the kernels after every step."""

from collections.abc import Sequence
from typing import Any

import keras

from dsr_tf.layers import SparseKernel


class PlainFit:
    """Spares a `fit` the masking of kernels, where nothing can unmask them.

    Keras' own training step gives an optimizer the gradients of the layers,
    which are masked; many optimizers then leave masked weights at 0. To mask
    these again in every step would be a pass over each kernel for nothing. A
    model may use a kernel in some other way, though, past its layer: so
    kernels are looked at after the first step and at the ends of epochs, and
    masked in every step from then on if a weight was found.

    Args:
        model: A compiled model.
        layers: Its sparse layers, whose slots are clean.

    Attributes:
        is_plain: Whether the training step is Keras' own. A batch is then at
            most one step of the optimizer.
    """

    def __init__(
        self, model: keras.Model, layers: Sequence[SparseKernel]
    ) -> None:
        self._model = model
        step = getattr(model.train_step, "__func__", None)
        self.is_plain = step is keras.Model.train_step
        self._kernels = _kernels_under_masks(layers)
        self._is_new = True
        # The training function that masks kernels, and the one that does not.
        self._functions: tuple[Any, Any] = (None, None)

    def begin(self) -> None:
        """Trusts the optimizer, if the model is trained as Keras does it."""
        self._is_new = True
        if not self.is_plain or self._model.run_eagerly:
            return
        alone = self._model.distribute_strategy.num_replicas_in_sync == 1
        for kernel in self._kernels:
            kernel.trust(self._model.optimizer)
            # XLA makes numbers of a mask within another pass.
            if kernel.is_trusting and alone and not self._model.jit_compile:
                kernel.mask.keep_numbers()
        masking, trusting = self._functions
        if masking is not None and self._model.train_function is masking:
            self._model.train_function = trusting
        else:
            # The model was compiled again.
            self._functions = None, None

    def serves(
        self, model: keras.Model, layers: Sequence[SparseKernel]
    ) -> bool:
        """Tells whether it was made for a model and its layers."""
        kernels = _kernels_under_masks(layers)
        return self._model is model and list(map(id, kernels)) == list(
            map(id, self._kernels)
        )

    def check_first_step(self) -> None:
        """Does what `check` does, once."""
        if self._is_new:
            self._is_new = False
            self.check()

    def check(self) -> None:
        """Trusts no longer, if a kernel holds weights outside its mask."""
        outside = [
            x for x in self._kernels if x.is_trusting and x.has_outside()
        ]
        if not outside:
            return
        self._trust_none()
        for kernel in outside:
            kernel.clean(kernel.slots())
        self._functions = None, None
        self._model.make_train_function(force=True)

    def end(self) -> None:
        """Trusts no optimizer any more.

        A `fit` without this gets a training function of its own, in which
        kernels are masked. The other one is kept for the next `begin`.
        """
        masking, trusting = self._functions[0], self._model.train_function
        # There is none where a run that goes on has nothing left but to test.
        if trusting and any(kernel.is_trusting for kernel in self._kernels):
            if masking is None:
                self._model.make_train_function(force=True)
                masking = self._model.train_function
            self._model.train_function = masking
            self._functions = masking, trusting
        self._trust_none()

    def _trust_none(self) -> None:
        for kernel in self._kernels:
            kernel.trust(None)


def _kernels_under_masks(layers: Sequence[SparseKernel]) -> list[Any]:
    """Returns the kernels that a step could unmask."""
    return [x.kernel for x in layers if x.built and x.storage == "masks"]
