"""The callback that runs a method inside `fit`."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import keras
from absl import logging

from dsr_tf.callbacks import same_fit
from dsr_tf.callbacks.configured import Configured
from dsr_tf.callbacks.drawn_masks import check_pictures
from dsr_tf.callbacks.plain_fit import PlainFit
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_seed
from dsr_tf.layers import sparse_layers
from dsr_tf.methods import Method
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Constant
from dsr_tf.schedules import End
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import as_schedule
from dsr_tf.schedules import checked_end
from dsr_tf.training.length import check_length
from dsr_tf.training.length import no_reallocation
from dsr_tf.training.length import remark
from dsr_tf.training.reallocator import Reallocator
from dsr_tf.training.replicas import check_trainable
from dsr_tf.training.state import Counters
from dsr_tf.training.steps import batches_a_step
from dsr_tf.training.targets import trainable_layers


class Reallocate(Configured, keras.callbacks.Callback):
    """Prunes and regrows the sparse layers of a model while it trains.

    A reallocation runs when the number of optimizer steps has crossed a
    multiple of the period. With `steps_per_execution` above 1, it runs at the
    end of the execution in which the multiple was crossed.

    The logs of every epoch get `weights_moved` (in this epoch),
    `active_weights` (now), `ever_active` (the share of weights that were ever
    active, from the start of training on), and the numbers that the method
    adapts, such as `threshold`.

    The callback itself holds only settings. It makes one `Reallocator` for each
    model, and uses it again when the model is trained further.

    Args:
        method: Chooses what to prune, how to allocate and where to grow.
        period: Optimizer steps between reallocations, at least 1;
            `{from_epoch: steps}`; or a schedule of `dsr_tf.schedules`.
        stop_epoch: Epoch, counted from 0, from which on masks do not change;
            None to go on to the end.
        seed: Integer from 0 to 2**31 - 1. Equal seeds give equal runs.
        stop: The same as `stop_epoch`, given as a share of the training, a
            float in `(0, 1]`, or as an optimizer step, an integer.
        begin_step: Optimizer step from which on `period` counts; masks do not
            change before.

    Raises:
        ValueError: If an argument is out of its range, or both ends are given;
            when training begins, if the model has no trainable sparse layer,
            or its budget is too small, or another callback moves its weights
            too, or the training ends before the method does. The budget of a
            model that is not built yet is known only after its first step.
        FloatingPointError: At a reallocation, or at the end of an epoch, if a
            weight is NaN or infinite.
        ReplicasDifferError: At a reallocation, or after the first step, if
            masks, kernels or slots differ between replicas or workers, or if
            workers have different arguments.
    """

    def __init__(
        self,
        method: Method,
        period: int | Mapping[int, int] | Schedule,
        stop_epoch: int | None = None,
        seed: int = 0,
        *,
        stop: End = None,
        begin_step: int = 0,
    ) -> None:
        super().__init__()
        self.method = checked_kind("method", method, Method, "a dsr_tf Method")
        self.period = as_schedule("period", period, _checked_period)
        self.stop = _end(stop_epoch, stop)
        self.seed = checked_seed(seed)
        self.begin_step = checked_count("begin_step", begin_step)
        self._plain_fit: Any = None  # Made when training begins.
        self._current: Reallocator | None = None
        self._reallocators: WeakKeyDictionary[keras.Model, Reallocator] = (
            WeakKeyDictionary()
        )

    @property
    def every_step(self) -> bool:
        """Whether it reallocates after every optimizer step."""
        return self.period == Constant(1)

    @property
    def reallocator(self) -> Reallocator:
        """The reallocator of the model that is being, or was last, trained.

        Raises:
            ValueError: If no model has been trained.
        """
        if self._current is None:
            raise ValueError(
                "The callback must have been given to `fit` before it has a "
                f"`reallocator`. Received: {type(self).__name__}, not yet used"
            )
        return self._current

    @property
    def state(self) -> Counters:
        """Counters of the reallocations of that model so far."""
        return self.reallocator.counters

    def reallocator_of(self, model: keras.Model) -> Reallocator:
        """Returns the reallocator of a compiled model, or makes it.

        If the model was compiled again, or other layers of it are trained, a
        new reallocator continues from the old one.

        Raises:
            ValueError: If the method cannot serve the model.
        """
        known = self._reallocators.get(model)
        if known and _is_of(known, model):
            return known
        self._build_optimizer(model)
        new = Reallocator(
            model,
            model.optimizer,
            self.method,
            self.period,
            self.stop,
            self.seed,
            begin_step=self.begin_step,
        )
        if known:
            new.continue_from(known)
        self._reallocators[model] = new
        return new

    def _build_optimizer(self, model: keras.Model) -> None:
        """Makes slots of blocks, so that checkpoints find elastic ones."""
        stored = {layer.storage for layer in sparse_layers(model)}
        if "blocks" not in stored or not model.built or model.optimizer.built:
            return
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)

    def on_train_begin(self, logs: Any = None) -> None:
        self._check_alone()
        check_pictures(self)
        reallocator = self._current = self.reallocator_of(self.model)
        reallocator.check()
        reallocator.begin()
        check_trainable(self.model)
        layers = reallocator.layers
        if not (known := self._plain_fit) or not known.serves(
            self.model, layers
        ):
            self._plain_fit = PlainFit(self.model, layers)
        self._plain_fit.begin()
        self._trace_anew()
        self._last_read = -1
        self._warn_of_late_reallocations()
        # Of a `fit` that was interrupted. `Checkpoint`, which is last, brings
        # it back where a run goes on.
        reallocator.counters.epoch = None
        self._begins = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        reallocator, counters = self.reallocator, self.state
        reallocator.begin_epoch(epoch)
        self._last_read = -1
        # Not in the middle of an epoch that a resumed run goes on with.
        if counters.epoch != epoch:
            is_new = counters.num_steps is None
            counters.epoch = epoch
            counters.moved_before = counters.weights_moved
            counters.num_steps = self._num_steps(epoch)
            if self._begins:
                reallocator.check_schedules()
                self._check_length(epoch, is_new)
                if is_new and epoch and counters.step:
                    self._warn_of_new_state(epoch)
        reallocator.expect()
        self._begins = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.reallocator.keeps_gradients:
            steps = self._most_steps(batch)
            if steps is not None:
                steps += self.model.steps_per_execution - 1
            is_time = self.reallocator.needs_gradients(steps)
            self._plain_fit.keep_gradients(is_time)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._plain_fit.check_first_step()
        if self.reallocator.can_be_due(self._most_steps(batch)):
            self._last_read = batch
            self.reallocator.step()
            self._trace_anew()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        reallocator, counters = self.reallocator, self.state
        counters.epoch = None
        self._plain_fit.check()
        if logs is None:
            return
        reallocator.check_finite()
        logs["weights_moved"] = counters.weights_moved - counters.moved_before
        logs["active_weights"] = reallocator.num_active
        logs["ever_active"] = reallocator.ever_active
        logs.update(counters.method)

    def on_train_end(self, logs: Any = None) -> None:
        self._plain_fit.end()
        if problem := self.reallocator.remark_at_end():
            logging.warning("In this `fit` %s.", problem)

    def _trace_anew(self) -> None:
        """Makes the training function anew where the method needs it."""
        if self.reallocator.must_be_traced:
            self.reallocator.must_be_traced = False
            self._plain_fit.trace_anew()

    def _most_steps(self, batch: int) -> int | None:
        """Returns the most optimizer steps since the last one was read.

        None where batches do not tell: each may be several steps, or they are
        not numbered upwards, as in loops that call this callback themselves.
        """
        batches = batch - self._last_read
        return batches if self._plain_fit.is_plain and batches > 0 else None

    def _check_alone(self) -> None:
        """Refuses a second callback that moves weights in the same `fit`."""
        every = same_fit.callbacks_of(self)
        moving = [x for x in every if isinstance(x, Reallocate)]
        if len(moving) > 1:
            names = [type(x).__name__ for x in moving]
            raise ValueError(
                "`callbacks` must hold at most one callback that moves the "
                f"weights of a model. Received: {' and '.join(names)}"
            )

    def _num_steps(self, epoch: int) -> int | None:
        """Returns the optimizer step at which this `fit` ends, if known."""
        params = self.params or {}
        steps = params.get("steps")
        if not steps:
            return None
        batches = (params.get("epochs", 1) - epoch) * steps
        each = batches_a_step(self.model.optimizer)
        return self.reallocator.moment().step + batches // each

    def _check_length(self, epoch: int, is_new: bool) -> None:
        """Refuses a `fit` that ends before the method, if its end is known.

        Of the first one of a model, it says if that moves no weight.
        """
        params = self.params or {}
        training = (
            self.reallocator,
            range(epoch, params.get("epochs", 1)),
            params.get("steps") or 0,
            self.model.steps_per_execution,
        )
        check_length(*training)
        if not is_new:
            return
        for problem in (no_reallocation(*training), remark(training[0])):
            if problem:
                logging.warning("In this `fit` %s.", problem)

    def _warn_of_new_state(self, epoch: int) -> None:
        """Says that a training goes on without what its method remembered."""
        backup = same_fit.beside(self, keras.callbacks.BackupAndRestore)
        logging.warning(
            "Training goes on at epoch %d, and the state of %s begins anew%s. "
            "To go on with it too, use `callbacks.Checkpoint`.",
            epoch,
            type(self).__name__,
            ": BackupAndRestore does not hold it" if backup else "",
        )

    def _warn_of_late_reallocations(self) -> None:
        execution = self.model.steps_per_execution
        params = self.params or {}
        used = _used(self.period, params.get("epochs", 1))
        counts = [params.get("steps") or 0, self.begin_step, *used]
        if any(count % execution for count in counts):
            logging.warning(
                "`steps_per_execution=%d` does not divide the steps of an "
                "epoch, the period and `begin_step`, so reallocations can come "
                "up to %d steps late.",
                execution,
                execution - 1,
            )


def _end(stop_epoch: int | None, stop: End) -> End:
    """Returns when masks stop changing, of two ways to say so."""
    checked_count("stop_epoch", stop_epoch, optional=True)
    if stop_epoch is None:
        return checked_end("stop", stop)
    if stop is not None:
        raise ValueError(
            "`stop` and `stop_epoch` must not both be given. "
            f"Received: stop={stop}, stop_epoch={stop_epoch}"
        )
    return FromEpoch(stop_epoch)


def _is_of(reallocator: Reallocator, model: keras.Model) -> bool:
    layers = trainable_layers(model)
    return reallocator.optimizer is model.optimizer and (
        list(map(id, layers)) == list(map(id, reallocator.layers))
    )


def _used(period: Schedule, epochs: int) -> list[int]:
    """Returns the periods of the epochs to come, as far as they are known."""
    if isinstance(period, Constant):
        return [period.value]
    if isinstance(period, ByEpoch):
        return [steps for epoch, steps in period.entries if epoch < epochs]
    return []


def checked_reallocation(value: Any) -> Reallocate | None:
    """Returns the callback that moves weights, or None.

    Raises:
        ValueError: If `value` is neither.
    """
    what = "a callback that moves weights, such as DSR"
    return checked_kind("reallocation", value, Reallocate, what, optional=True)


def _checked_period(name: str, value: Any) -> int:
    return checked_count(name, value, minimum=1)
