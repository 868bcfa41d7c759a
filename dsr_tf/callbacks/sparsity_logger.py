"""Logs where the weights are and how they move, for TensorBoard."""

import math
from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dsr_tf.analysis.dead_units import dead_units
from dsr_tf.callbacks.drawn_masks import check_pictures
from dsr_tf.callbacks.event_file import write_histogram
from dsr_tf.callbacks.event_file import write_scalar
from dsr_tf.callbacks.mask_history import MaskHistory
from dsr_tf.callbacks.reallocate import Reallocate
from dsr_tf.callbacks.reallocate import checked_reallocation
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_folder
from dsr_tf.graph.places import places
from dsr_tf.layers import SparseKernel
from dsr_tf.layers import budgeted_layers
from dsr_tf.layers.walk import budgeted_parts
from dsr_tf.training.steps import read_step


class SparsityLogger(keras.callbacks.Callback):
    """Writes where the weights of a model are and how they move.

    It writes for TensorBoard at the end of every epoch; the axis counts
    optimizer steps. `LAYER` is the name of a sparse or hashed layer, after the
    names of the models that contain it. A tag without a layer is for all layers
    together.

    * `active_weights/LAYER` and `active_weights`: the number of active weights.
    * `sparsity/LAYER` and `sparsity`: the share of zeros, or the share of
      parameters that a hashed layer saves.
    * `overlap_with_start/LAYER` and `overlap_with_start`: the share of the
      weights active at the start that are active now. The start is the start of
      `fit`, or of the run that `Checkpoint` resumes.
    * `dead_inputs/LAYER`, `dead_outputs/LAYER`, `dead_inputs` and
      `dead_outputs`: how many inputs, and outputs, of sparse layers have no
      active weight (`analysis.dead_units`).
    * `weights/LAYER`: a histogram of the active weights, or of a bank.
    * `weights_moved`: the number of weights grown in this epoch.
    * `ever_active`: the share of the weights of sparse layers that were ever
      active, from the start on.
    * `threshold`, or another number that the method adapts.
    * `survival/after_K_reallocations`: of the weights that a reallocation grew,
      the share that none of the next `K` reallocations pruned. It is taken over
      the reallocations that became `K` old in this epoch. Weights that one
      reallocation prunes and grows again are not counted. Nothing is written
      before there are such reallocations.

    With `DeepR`, or another method that reallocates after every step, masks are
    compared at the end of each epoch instead, and the tag is
    `survival/after_K_epochs`. The same holds without a `reallocation`; then
    `weights_moved` counts the weights that are active and were not active one
    epoch before, whatever changed the masks, and `ever_active` those that were
    active at the end of an epoch.

    A resumed run appends to the log. Give this callback to `Checkpoint`, too,
    so that masks are compared with the start of the whole run. Epochs that are
    trained again, from an older checkpoint, are written again.

    Args:
        log_dir: Folder to write to; it is made if it does not exist.
        reallocation: The callback that moves weights, if there is one. List it
            before this one.
        survival_after: The values of `K`, each at least 1.

    Attributes:
        history: Masks that a resumed run needs; `Checkpoint` saves it.

    Raises:
        ValueError: If an argument is out of its range; when training begins,
            if the model has neither sparse nor hashed layers, or is not built.

    Example:
    >>> moves = dsr_tf.callbacks.DSR(num_pruned=600, period=100)
    >>> logger = dsr_tf.callbacks.SparsityLogger("logs", moves)
    >>> model.fit(x, y, callbacks=[moves, logger])
    """

    def __init__(
        self,
        log_dir: str | Path,
        reallocation: Reallocate | None = None,
        survival_after: Sequence[int] = (1, 10),
    ) -> None:
        super().__init__()
        # Wherever the process goes to later.
        self.log_dir = checked_folder("log_dir", log_dir).absolute()
        self.reallocation = checked_reallocation(reallocation)
        self.survival_after = _checked_ages(survival_after)
        self.history = MaskHistory(self.survival_after)
        self._writer: tf.summary.SummaryWriter | None = None

    def check(self, model: keras.Model) -> None:
        """Raises a ValueError if a model has nothing to log."""
        if not budgeted_layers(model):
            raise ValueError(
                "`model` must have a sparse or hashed layer. Make it sparse "
                "with `dsr_tf.sparsify`, or leave the SparsityLogger out. "
                f"Received: model '{model.name}' with layers "
                f"{[layer.name for layer in model.layers]}"
            )
        if not model.built:
            raise ValueError(
                "`model` must be built before `fit`, so that its first masks "
                "are known. Call `model.build`, or give it an Input. "
                f"Received: model '{model.name}', not built"
            )

    def on_train_begin(self, logs: Any = None) -> None:
        self.check(self.model)
        check_pictures(self)
        self._layers = _named_layers(self.model)
        # `Checkpoint`, which is last, brings that of the run back.
        self.history.clear()
        self._begins = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._begins:
            self.history.begin(self._mask())
            method = self._seen_method()
            self._seen = method.state.num_reallocations if method else 0
        self._begins = False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        method = self._seen_method()
        if method and method.state.num_reallocations != self._seen:
            self._seen = method.state.num_reallocations
            self.history.update(self._mask())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._seen_method():
            self.history.update(self._mask())
        step = read_step(self.model.optimizer)
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))
        with self._writer.as_default():
            for tag, value in self._scalars():
                write_scalar(tag, value, step)
            for name, layer in self._layers.items():
                write_histogram(f"weights/{name}", _weights(layer), step)
        # A run may be killed at any time.
        self._writer.flush()
        self.history.reset()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _scalars(self) -> Iterator[tuple[str, float]]:
        sizes = [math.prod(x.kernel_shape) for x in self._layers.values()]
        counts = [layer.num_active for layer in self._layers.values()]
        rows = zip(self._layers, counts, sizes, strict=True)
        for name, count, size in rows:
            yield f"active_weights/{name}", count
            yield f"sparsity/{name}", 1 - count / size
        yield "active_weights", sum(counts)
        yield "sparsity", 1 - sum(counts) / sum(sizes)
        yield from self._dead()
        yield from self._overlaps()
        yield from self._moves()

    def _dead(self) -> Iterator[tuple[str, float]]:
        found = {
            name: dead_units(layer)
            for name, layer in self._layers.items()
            if isinstance(layer, SparseKernel)
        }
        for name, dead in found.items():
            yield f"dead_inputs/{name}", dead.inputs
            yield f"dead_outputs/{name}", dead.outputs
        if found:
            yield "dead_inputs", sum(x.inputs for x in found.values())
            yield "dead_outputs", sum(x.outputs for x in found.values())

    def _overlaps(self) -> Iterator[tuple[str, float]]:
        masks, start = self._masks(), self.history.start
        if start is None or not start.any():
            return
        ends = np.cumsum([mask.size for mask in masks.values()])
        starts = np.split(start, ends[:-1])
        for (name, mask), first in zip(masks.items(), starts, strict=True):
            if first.any():
                yield f"overlap_with_start/{name}", mask[first].mean()
        yield "overlap_with_start", self._mask()[start].mean()

    def _moves(self) -> Iterator[tuple[str, float]]:
        method = self.reallocation
        if method:
            state = method.state
            yield "weights_moved", state.weights_moved - state.moved_before
            yield "ever_active", method.reallocator.ever_active
            yield from state.method.items()
        elif self._masks():
            yield "weights_moved", self.history.num_grown
            yield "ever_active", self.history.ever.mean()
        unit = "reallocations" if self._seen_method() else "epochs"
        for age, share in self.history.survival().items():
            yield f"survival/after_{age}_{unit}", share

    def _seen_method(self) -> Reallocate | None:
        """Returns the callback if the logger follows its reallocations."""
        moves = self.reallocation
        return None if moves and moves.every_step else moves

    def _masks(self) -> dict[str, np.ndarray]:
        """Returns the masks of the sparse layers, flat, bool."""
        return {
            name: keras.ops.convert_to_numpy(layer.kernel_mask).ravel() != 0
            for name, layer in self._layers.items()
            if isinstance(layer, SparseKernel)
        }

    def _mask(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, bool), *self._masks().values()])


def _checked_ages(ages: Sequence[int]) -> tuple[int, ...]:
    is_text = isinstance(ages, str | bytes)
    if not isinstance(ages, Sequence) or is_text or not ages:
        raise ValueError(
            "`survival_after` must name at least one number of reallocations. "
            f"Received: survival_after={ages!r}"
        )
    return tuple(checked_count("survival_after", k, 1) for k in ages)


def _named_layers(model: keras.Model) -> dict[str, Any]:
    """Returns sparse and hashed layers by their paths in the model.

    Those with several sparse kernels have a path for each.
    """
    found = [
        (
            place.path
            if x is place.layer
            else f"{place.path}/{x.trained_kernel.name}",
            x,
        )
        for place in places(model)
        for x in budgeted_parts(place.layer)
    ]
    times = Counter(path for path, _ in found)
    # Layers of a subclassed model may have equal names.
    return {
        path if times[path] == 1 else f"{path}_{i}": layer
        for i, (path, layer) in enumerate(found)
    }


def _own(part: Any) -> str:
    return part.trained_kernel.name


def _weights(layer: Any) -> np.ndarray:
    """Returns the weights that a layer holds: active ones, or its bank."""
    weights = keras.ops.convert_to_numpy(layer.trained_kernel)
    if not isinstance(layer, SparseKernel) or layer.storage == "blocks":
        return weights
    return weights[keras.ops.convert_to_numpy(layer.kernel_mask) != 0]
