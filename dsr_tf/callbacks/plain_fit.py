"""What the training function of a `fit` has to compute beside the training."""

from collections.abc import Sequence
from typing import Any

import keras

from dsr_tf.layers import SparseKernel


class PlainFit:
    """Spares a `fit` what it need not compute in every step.

    That is to look for gradients of all positions, which are kept for some
    reallocations: a training function of its own does so. And it is to mask
    kernels where nothing can unmask them.

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
        self._layers = layers
        self._kernels = _kernels_under_masks(layers)
        self._is_new = True
        # Training functions, by whether kernels trust, and whether gradients
        # are kept; and which one is used.
        self._functions: dict[tuple[bool, bool], Any] = {}
        self._used = (False, False)
        # None where it has to be found out which one is to be used.
        self._keeps: bool | None = None

    def begin(self) -> None:
        """Trusts the optimizer, if the model is trained as Keras does it."""
        self._is_new = True
        if self._model.train_function is not self._functions.get(self._used):
            # The model was compiled again.
            self._functions = {}
        self._keeps = None
        if self.is_plain and not self._model.run_eagerly:
            self._trust()
        self.keep_gradients(False)

    def _trust(self) -> None:
        alone = self._model.distribute_strategy.num_replicas_in_sync == 1
        for kernel in self._kernels:
            kernel.trust(self._model.optimizer)
            # XLA makes numbers of a mask within another pass.
            if kernel.is_trusting and alone and not self._model.jit_compile:
                kernel.mask.keep_numbers()

    def keep_gradients(self, is_time: bool) -> None:
        """Says whether the next steps are to keep gradients of all positions.

        Args:
            is_time: Whether they are.
        """
        if is_time == self._keeps:
            return
        trusts = any(kernel.is_trusting for kernel in self._kernels)
        key, now = (trusts, is_time), self._model.train_function
        # There is none where a run that goes on has nothing left but to test,
        # or in loops that call callbacks themselves.
        records = [x.trained_kernel.record for x in self._layers if x.built]
        for record in filter(None, records):
            record.is_off = now is not None and not is_time
        self._keeps = is_time
        if now is None or (key == self._used and key in self._functions):
            return
        if self._functions and key not in self._functions:
            self._model.make_train_function(force=True)
            now = self._model.train_function
        self._model.train_function = self._functions.setdefault(key, now)
        self._used = key

    def serves(
        self, model: keras.Model, layers: Sequence[SparseKernel]
    ) -> bool:
        """Tells whether it was made for a model and its layers."""
        kernels = _kernels_under_masks(layers)
        return self._model is model and list(map(id, kernels)) == list(
            map(id, self._kernels)
        )

    def trace_anew(self) -> None:
        """Drops training functions that know nothing of new records."""
        self._functions = {k: f for k, f in self._functions.items() if not k[1]}
        self._keeps = None

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
        self._functions, self._keeps = {}, None
        self._model.make_train_function(force=True)
        self.keep_gradients(False)

    def end(self) -> None:
        """Trusts no optimizer any more.

        A `fit` without this gets a training function of its own, in which
        kernels are masked. The other one is kept for the next `begin`.
        """
        self._trust_none()
        self._keeps = None
        self.keep_gradients(False)

    def _trust_none(self) -> None:
        for kernel in self._kernels:
            kernel.trust(None)


def _kernels_under_masks(layers: Sequence[SparseKernel]) -> list[Any]:
    """Returns the kernels that a step could unmask."""
    return [x.kernel for x in layers if x.built and x.storage == "masks"]
