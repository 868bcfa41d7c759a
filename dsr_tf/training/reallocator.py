"""The object that moves the weights of one model, under one optimizer."""

import time
import zlib
from collections import deque
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_function
from dsr_tf.checks import checked_kind
from dsr_tf.checks import checked_number
from dsr_tf.checks import checked_seed
from dsr_tf.layers import SparseKernel
from dsr_tf.layers.slots import Slot
from dsr_tf.layers.slots import slots_of
from dsr_tf.methods import Method
from dsr_tf.methods import NonFiniteWeightError
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Constant
from dsr_tf.schedules import End
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Ramp
from dsr_tf.schedules import Schedule
from dsr_tf.schedules import Times
from dsr_tf.schedules import as_schedule
from dsr_tf.schedules import checked_end
from dsr_tf.schedules import has_ended
from dsr_tf.schedules import identity
from dsr_tf.schedules import is_whole
from dsr_tf.training.dense_gradients import DenseGradients
from dsr_tf.training.dense_gradients import Held
from dsr_tf.training.ever_active import EverActive
from dsr_tf.training.program import Program
from dsr_tf.training.replicas import Replicas
from dsr_tf.training.state import Arrays
from dsr_tf.training.state import Counters
from dsr_tf.training.steps import read_step
from dsr_tf.training.storage import spread
from dsr_tf.training.storages import all_tensors
from dsr_tf.training.storages import storages
from dsr_tf.training.targets import extent_of
from dsr_tf.training.targets import strategy_of
from dsr_tf.training.targets import trainable_layers

# Periods that do not change from step to step, but at known epochs.
_STEADY = Constant | ByEpoch | Times
# The name in `Reallocator.state` that older checkpoints do not have.
EVER_ACTIVE = "ever_active"
# Reallocations whose counts are kept, to speak of when training ends.
_REMEMBERED = 1000


class Reallocator:
    """Prunes and regrows sparse layers while they train.

    Made for one model, or a list of layers, and the one optimizer that trains
    it. Call `step()` after every optimizer step: a reallocation runs when the
    number of steps since `begin_step` has crossed a multiple of the period or,
    where the period is a ramp, when so many steps have passed since the last
    one. `callbacks` do so inside `fit`.

    Args:
        model_or_layers: A Keras model, all whose trainable sparse layers are
            meant, or a list of sparse layers.
        optimizer: The optimizer that trains them; it may be built later.
        method: What to prune, how to allocate and where to grow.
        period: Optimizer steps between reallocations, at least 1;
            `{from_epoch: steps}`; or a schedule of `dsr_tf.schedules`. By
            default a hundredth of the training, at least 10; or 100 where its
            length is not known.
        stop: When masks stop changing: an optimizer step, an integer; a share
            of the training, a float in `(0, 1]`; a `schedules.FromEpoch`; or
            None for never. With 1.0 they may change in all steps but the very
            last, whose new weights nothing would train.
        seed: Integer from 0 to 2**31 - 1. Equal seeds, equal runs.
        steps_per_epoch: Optimizer steps in an epoch, where schedules go by
            epoch and nobody calls `begin_epoch`.
        num_steps: Optimizer steps of the whole training, where schedules go by
            shares of it.
        begin_step: Optimizer step from which on `period` counts; masks do not
            change before.
        growth_scores: For methods that read growth scores, such as
            `methods.grow.ByScore`: a function that is called before each
            reallocation, and returns how much each weight would be worth, a
            float32 tensor of the kernel's shape for each layer. A unit is
            worth the mean magnitude of its weights' scores. By default scores
            are what the method asks for: the gradients of all positions in the
            step before the reallocation, or their running mean. Training steps
            must then be traced after the reallocator was made.

    Attributes:
        counters: What was done so far, and the numbers that the method
            remembers.
        arrays: What the method remembers of every unit.
        must_be_traced: Whether training steps that were traced before must be
            traced anew, as the method needs what they do not compute.

    Raises:
        ValueError: If an argument is out of its range, there is no trainable
            sparse layer, or the method cannot serve these layers; that is
            known at the first step only where layers are not built yet.

    Example:
    >>> reallocator = dsr_tf.Reallocator(
    ...     model, optimizer, dsr_tf.methods.dsr(num_pruned=600), period=100
    ... )
    >>> for x, y in batches:
    ...     with tf.GradientTape() as tape:
    ...         loss = loss_fn(y, model(x, training=True))
    ...     weights = model.trainable_weights
    ...     optimizer.apply(tape.gradient(loss, weights), weights)
    ...     reallocator.step()
    """

    def __init__(
        self,
        model_or_layers: keras.Model | Sequence[SparseKernel],
        optimizer: keras.optimizers.Optimizer,
        method: Method,
        period: int | Mapping[int, int] | Schedule = DEFAULT_PERIOD,
        stop: End = None,
        seed: int = 0,
        *,
        steps_per_epoch: int | None = None,
        num_steps: int | None = None,
        begin_step: int = 0,
        growth_scores: Callable[[], Sequence[tf.Tensor]] | None = None,
    ) -> None:
        self.layers = trainable_layers(model_or_layers)
        kind = keras.optimizers.Optimizer
        self.optimizer = checked_kind(
            "optimizer", optimizer, kind, "a keras Optimizer"
        )
        self.method = checked_kind("method", method, Method, "a dsr_tf Method")
        self.period = as_schedule("period", period, _checked_period)
        self.stop = checked_end("stop", stop)
        self.seed = checked_seed(seed)
        self.steps_per_epoch = checked_count(
            "steps_per_epoch", steps_per_epoch, minimum=1, optional=True
        )
        self.begin_step = checked_count("begin_step", begin_step)
        self.counters = Counters(method.rule.initial_state())
        self.counters.num_steps = checked_count(
            "num_steps", num_steps, minimum=1, optional=True
        )
        self.arrays = Arrays()
        self._ever_active = EverActive(self.layers)
        self._slots: list[list[Slot]] | None = None
        self._program: Program | None = None
        own = checked_function("growth_scores", growth_scores, optional=True)
        self._own_scores = own if method.scores else None
        self._gradients: DenseGradients | None = None
        if method.scores and not own:
            self._gradients = DenseGradients(
                self.layers, self.optimizer, method.scores
            )
        self._epoch: int | None = None
        self._chosen: deque[int] = deque(maxlen=_REMEMBERED)
        self.must_be_traced = False
        self.check()
        self.begin()

    @property
    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, as `tf.train.Checkpoint` takes it."""
        # The names are those of the first checkpoints that there were.
        state: dict[str, Any] = {"state": self.counters, "signs": self.arrays}
        state[EVER_ACTIVE] = self._ever_active
        if self._gradients and self._gradients.spans_batches:
            state["gradients"] = self._gradients.kept
        return state

    @property
    def kept_gradients(self) -> Sequence[Held]:
        """Variables that differ between replicas, and a resumed run needs."""
        if self._gradients is None or not self._gradients.spans_batches:
            return ()
        return list(map(Held, self._gradients.kept.values))

    @property
    def num_active(self) -> int:
        """Active weights of all its layers."""
        return sum(layer.num_active for layer in self.layers)

    @property
    def ever_active(self) -> float:
        """Share of the weights of all its layers that were ever active.

        It is exact, and counts from the first masks of the training on, also
        where that was resumed, or went on with other masks: `R_s` of ITOP
        ([Liu et al., 2021](https://arxiv.org/abs/2102.02887)).

        Raises:
            ValueError: If a layer is not built.
        """
        if not self.is_built:
            missing = [x.name for x in self.layers if not x.built]
            raise ValueError(
                "All layers must be built before it is known which weights "
                f"are active. Received: layers {missing}, not built"
            )
        return self._ever_active.share

    @property
    def is_built(self) -> bool:
        """Whether all its layers are built."""
        return all(layer.built for layer in self.layers)

    def check(self) -> None:
        """Raises a ValueError if the method cannot serve the layers.

        Nothing is checked as long as one is not built.
        """
        if self.is_built:
            self.method.rule.check([extent_of(layer) for layer in self.layers])

    def begin(self) -> None:
        """Says that training begins, or goes on with weights as they are.

        To be called after weights or masks were assigned from outside.
        """
        counters = self.counters
        counters.step = read_step(self.optimizer)
        # A new optimizer counts from 0 again.
        counters.last_step = min(counters.last_step, counters.step)
        self._has_begun = self.is_built
        self._chosen.clear()
        self._ever_active.begin()
        self._free_slots()
        if self._has_begun:
            self._begin_arrays()
            self._attach()
            # Slots of an earlier training can hold anything.
            if self._slots is None and counters.step:
                self._find_slots()

    def begin_epoch(self, epoch: int) -> None:
        """Says which epoch is trained, counted from 0, for its schedules."""
        self._epoch = epoch
        self.counters.step = read_step(self.optimizer)
        self.expect()

    def step(self) -> bool:
        """Reallocates if it is time to. To be called after optimizer steps.

        Returns:
            Whether a reallocation ran.

        Raises:
            FloatingPointError: If a weight is NaN or infinite at a
                reallocation; no mask has changed then.
            ReplicasDifferError: At a reallocation, or at the first step, if
                masks, kernels or slots differ between replicas or workers, or
                these have other arguments.
        """
        _check_eager("step")
        before = self.counters.step
        self._prepare()
        moment = self.moment()
        if self.has_ended(moment):
            return False
        if not self.is_due(before, moment, self.counters.last_step):
            return False
        # Before too: what is read on one replica is assigned to all, which
        # would hide that they differed.
        self._compare_replicas()
        self.reallocate()
        self.expect()
        self._compare_replicas()
        return True

    def can_be_due(self, steps: int | None) -> bool:
        """Tells whether `step()` can have something to do.

        To ask the optimizer for its step after every batch takes some percent
        of the time of a small network.

        Args:
            steps: The most that the optimizer can have taken since it was
                asked, or None where that is not known.
        """
        # The periods of any other schedule may be others at the next step.
        is_steady = isinstance(self.period, _STEADY)
        if steps is None or self._slots is None or not is_steady:
            return True
        step = self.counters.step
        period = self.period_at(self.moment())
        return self._is_crossed(step, step + steps, period)

    @property
    def keeps_gradients(self) -> bool:
        """Whether the method reads gradients of all positions."""
        return self._gradients is not None

    @property
    def keeps_from(self) -> int | None:
        """Optimizer steps after which gradients of all positions are kept.

        They are kept until the next reallocation; None if they are not.
        """
        return self._gradients.start if self._gradients else None

    def needs_gradients(self, steps: int | None) -> bool:
        """Tells whether gradients of all positions can be of use.

        Args:
            steps: The most that the optimizer will have taken after the next
                execution, since it was asked; or None where that is not known.
        """
        if self._gradients is None:
            return False
        return self._gradients.is_time(
            None if steps is None else self.counters.step + steps
        )

    def moment(self) -> Moment:
        """Returns where training stands, as schedules see it."""
        step, epoch = self.counters.step, self._epoch
        if epoch is None and self.steps_per_epoch:
            epoch = max(step - 1, 0) // self.steps_per_epoch
        return Moment(step, epoch, self.counters.num_steps)

    def has_ended(self, moment: Moment) -> bool:
        """Tells whether masks do not change any more at a moment.

        Where they stop with the training, its very last step still prunes what
        the method would not reach otherwise.
        """
        if not has_ended(self.stop, moment):
            return False
        return not is_whole(self.stop) or self._is_done()

    def _is_done(self) -> bool:
        rule = self.method.rule
        if rule.num_left(self.counters.method):
            return False
        extents = [extent_of(layer) for layer in self.layers if layer.built]
        return not self.is_built or rule.is_done_after((), extents)

    def period_at(self, moment: Moment) -> int:
        """Returns the optimizer steps between reallocations at a moment."""
        period = checked_number("period", self.period(moment), positive=True)
        return max(1, round(period))

    def is_due(self, before: int, moment: Moment, last: int) -> bool:
        """Tells whether a reallocation is due at a moment.

        Args:
            before: Optimizer step at which this was asked before.
            moment: The moment.
            last: Optimizer step of the last reallocation.
        """
        period = self.period_at(moment)
        if isinstance(self.period, Ramp):
            # It has no multiples: it may be another one at every step.
            return moment.step - max(last, self.begin_step) >= period
        return self._is_crossed(before, moment.step, period)

    def num_periods(self, step: int, period: int) -> int:
        """Returns how many periods of a length have passed by a step."""
        return max(step - self.begin_step, 0) // period

    def _is_crossed(self, before: int, after: int, period: int) -> bool:
        return self.num_periods(before, period) != self.num_periods(
            after, period
        )

    def reallocate(self) -> None:
        """Reallocates now, whatever the period says.

        Raises:
            FloatingPointError: If a weight is NaN or infinite; no mask has
                changed then.
        """
        _check_eager("reallocate")
        begin = time.perf_counter()
        self._prepare()
        counters = self.counters
        rule = self.method.rule
        numbers = rule.numbers(counters.method, self.moment())
        seed = tf.constant([self.seed, counters.step], tf.int32)
        marks = self._ever_active.catch_up()
        program = self._compiled(tuple(numbers), marks)
        others = self._others()
        try:
            done = program(
                numbers,
                counters.num_steps,
                seed,
                counters.unspent,
                self._growth_scores(),
            )
        except NonFiniteWeightError as error:
            raise self._non_finite(
                error.index, " No mask was changed."
            ) from None
        for layer, slots, before in others:
            layer.trained_kernel.bring_along(slots, before)
        counters.method = rule.next_state(counters.method, done.num_pruned)
        self._chosen.append(done.num_pruned)
        counters.unspent = done.unspent
        counters.num_reallocations += 1
        counters.last_step = counters.step
        counters.weights_moved += done.weights_grown
        counters.seconds += time.perf_counter() - begin

    def remark_at_end(self) -> str | None:
        """Says what went otherwise than asked, since training began."""
        return self.method.rule.remark_at_end(list(self._chosen))

    def check_finite(self) -> None:
        """Finds what became NaN or infinite where no reallocation looks.

        Raises:
            FloatingPointError: With the first layer that holds such a weight.
        """
        for index, layer in enumerate(self.layers):
            if not tf.reduce_all(tf.math.is_finite(layer.trained_kernel.value)):
                self.counters.step = read_step(self.optimizer)
                raise self._non_finite(index)

    def continue_from(self, other: "Reallocator") -> None:
        """Takes over what another one of the same method remembers.

        Its arrays too, if it has the same layers.
        """
        self.counters = other.counters
        self._ever_active.continue_from(other._ever_active)
        if _same(self.layers, other.layers):
            self.arrays = other.arrays

    def _growth_scores(self) -> Sequence[tf.Tensor]:
        if self._gradients:
            return self._gradients.read(self.counters.step)
        return self._own_scores() if self._own_scores else ()

    def _attach(self) -> None:
        """Lets kernels keep the gradients that the method reads."""
        if self._gradients:
            self.must_be_traced |= self._gradients.attach()
            self.expect()

    def expect(self) -> None:
        """Prepares for the next reallocation."""
        if self._gradients and self._has_begun:
            step = self.counters.step
            self._gradients.prepare(self._next_due(), step)

    def _next_due(self) -> int | None:
        """Returns the earliest step of the next reallocation, or None."""
        moment = self.moment()
        is_steady = isinstance(self.period, _STEADY)
        if not is_steady or not self._is_known(moment):
            return moment.step + 1
        if self.has_ended(moment):
            return None
        period = self.period_at(moment)
        done = self.num_periods(moment.step, period)
        return self.begin_step + (done + 1) * period

    def _is_known(self, moment: Moment) -> bool:
        """Tells whether a moment has what period and end depend on."""
        by_epoch = isinstance(self.period, ByEpoch)
        by_epoch |= isinstance(self.stop, FromEpoch)
        if by_epoch and moment.epoch is None:
            return False
        if not isinstance(self.stop, float) or is_whole(self.stop):
            return True
        return bool(moment.num_steps)

    def _begin_arrays(self) -> None:
        arrays = [self.arrays.of(i) for i in range(len(self.layers))]
        stored = storages(self.layers, [()] * len(self.layers), arrays)
        ctx = MaskedContext(all_tensors(stored))
        seed = tf.constant([self.seed, 0], tf.int32)
        first = self.method.rule.begin(ctx, seed)
        self.arrays.assign(
            {name: spread(ctx.tensors, rows) for name, rows in first.items()}
        )

    def _prepare(self) -> None:
        """Reads the step, and does what waits for layers and optimizer."""
        self.counters.step = read_step(self.optimizer)
        if not self._has_begun:
            self.check()
            self._begin_arrays()
            self._has_begun = True
            self._attach()
        if self._slots is None:
            self.check_schedules()
            self._find_slots()

    def check_schedules(self) -> None:
        """Raises a ValueError if a schedule cannot tell its value.

        One that goes by shares of the training needs to know its length, one by
        epochs the epoch. To be called once these are known, if they are.
        """
        moment = self.moment()
        if None not in (moment.epoch, moment.num_steps):
            return
        if not self.has_ended(moment):
            self.period_at(moment)
            self.method.rule.numbers(self.counters.method, moment)

    def _find_slots(self) -> None:
        own = slots_of(self.optimizer)
        missing = [
            x.name for x in self.layers if id(x.trained_kernel) not in own
        ]
        if missing:
            raise ValueError(
                "`optimizer` must train the kernels of all its layers. "
                f"Received: layers {missing}, which it does not train"
            )
        self._slots = [own[id(layer.trained_kernel)] for layer in self.layers]
        self._clean()
        self._replicas = Replicas(
            strategy_of(self.layers), self.layers, self._slots
        )
        self._compare_replicas()

    def _free_slots(self) -> None:
        """Lets slots follow blocks, before a checkpoint brings others back.

        Those that are still to be made can follow from the first step.
        """
        layers = [x for x in self.layers if x.storage == "blocks"]
        if not layers or not self.is_built or not self.optimizer.built:
            return
        own = slots_of(self.optimizer)
        for kernel in (layer.trained_kernel for layer in layers):
            kernel.free_slots(own.get(id(kernel), []))

    def _clean(self) -> None:
        """Sets back what slots hold where no weight is.

        That is nothing, but in an optimizer that was trained or restored
        before the layers knew it.
        """
        for layer, slots in zip(self.layers, self._slots or [], strict=True):
            layer.trained_kernel.meet(self.optimizer)
            layer.trained_kernel.clean(slots)

    def _others(self) -> list[tuple[SparseKernel, list[Slot], tf.Tensor]]:
        """Returns slots in other optimizers that train the same layers.

        With them, the layers and where their weights are.
        """
        found = []
        for layer, own in zip(self.layers, self._slots or [], strict=True):
            mine = {id(slot.variable) for slot in own}
            others = [
                slot
                for slot in layer.trained_kernel.slots()
                if id(slot.variable) not in mine
            ]
            if others:
                found.append((layer, others, tf.identity(layer.placement)))
        return found

    def _compiled(
        self, names: tuple[str, ...], marks: Sequence[tf.Variable]
    ) -> Program:
        """Returns the program, made once."""
        if self._program is None:
            self._program = Program(
                self.method,
                self.layers,
                self._slots or [],
                self.arrays,
                names,
                # A step has no time for it.
                is_counted=self.period != Constant(1),
                marks=marks,
            )
        return self._program

    def _compare_replicas(self) -> None:
        """Stops the run if replicas or workers do not hold the same."""
        when = f"{identity(self.period)} {self.stop} {self.begin_step}"
        self._replicas.check(
            {
                "step": self.counters.step,
                "seed": self.seed,
                "period and stop": zlib.crc32(when.encode()),
                "unspent": self.counters.unspent,
                **self.counters.method,
            }
        )

    def _non_finite(self, index: int, more: str = "") -> FloatingPointError:
        return FloatingPointError(
            "The kernel of every sparse layer must be finite. Received a NaN "
            f"or an infinite weight in layer '{self.layers[index].name}' at "
            f"optimizer step {self.counters.step}.{more} Try a smaller "
            "learning rate, or `clipnorm`."
        )


def _check_eager(name: str) -> None:
    if tf.inside_function():
        raise ValueError(
            f"`{name}` must be called outside of `tf.function`, and of layers "
            "and losses that one traces: it reads the optimizer's step, and "
            "compiles what it does itself. Call it after the function that "
            "trains. Received: a call while a function is traced"
        )


def _same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    return len(some) == len(others) and all(
        a is b for a, b in zip(some, others, strict=True)
    )


def _checked_period(name: str, value: Any) -> int:
    return checked_count(name, value, minimum=1)
