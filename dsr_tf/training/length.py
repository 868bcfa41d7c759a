"""Whether a training is long enough for its method."""

from collections.abc import Iterator
from dataclasses import replace

from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Ramp
from dsr_tf.schedules import identity
from dsr_tf.schedules import is_whole
from dsr_tf.training.reallocator import Reallocator
from dsr_tf.training.steps import batches_a_step
from dsr_tf.training.targets import extent_of


def check_length(
    reallocator: Reallocator, epochs: range, batches: int, execution: int = 1
) -> None:
    """Refuses a training that ends before its method is done.

    It may end early where `stop` says when masks stop changing, so that the
    training can also go on in another `fit`.

    Args:
        reallocator: That of the training.
        epochs: The epochs to come.
        batches: Batches in an epoch.
        execution: Batches after which reallocations are asked for.

    Raises:
        ValueError: If the method has a last reallocation, and training ends
            before it.
    """
    rule = reallocator.method.rule
    if not epochs or not batches or not _goes_on(reallocator):
        return
    due = _due(reallocator, epochs, batches, execution)
    extents = [extent_of(x) for x in reallocator.layers if x.built]
    if reallocator.is_built and not rule.is_done_after(due, extents):
        raise ValueError(
            "`period` must let the method reach its sparsity within the "
            "training. Use a shorter period or more epochs; or set "
            "`stop_epoch`, if the method may stop early. Received: "
            f"period={identity(reallocator.period)}: the training ends before"
        )
    left = rule.num_left(reallocator.counters.method)
    if not left:
        return
    last = reallocator.counters.last_step
    moment = reallocator.moment()
    for later in _moments(reallocator, epochs, batches, execution):
        if reallocator.is_due(moment.step, later, last):
            left, last = left - 1, later.step
        if not left:
            return
        moment = later
    period = reallocator.period_at(moment)
    last = max(last, reallocator.begin_step)
    if not isinstance(reallocator.period, Ramp):
        done = reallocator.num_periods(moment.step, period)
        last = reallocator.begin_step + done * period
    raise ValueError(
        "`period` must let the method finish within the training. Use a "
        "shorter period, fewer prunes or more epochs; or set `stop_epoch`, if "
        "the method may stop early. Received: "
        f"period={identity(reallocator.period)}: the method would end at "
        f"optimizer step {last + left * period} or later, the training ends at "
        f"step {moment.step}"
    )


def _goes_on(reallocator: Reallocator) -> bool:
    """Tells whether masks may change until the training ends."""
    return reallocator.stop is None or is_whole(reallocator.stop)


def no_reallocation(
    reallocator: Reallocator, epochs: range, batches: int, execution: int = 1
) -> str | None:
    """Says why a training moves no weight, if it does not.

    It says nothing where masks are not meant to change any more, as the first
    epoch is already that of `stop`, or the method is done.

    Args:
        reallocator: That of the training.
        epochs: The epochs to come.
        batches: Batches in an epoch.
        execution: Batches after which reallocations are asked for.

    Returns:
        A sentence; None where a reallocation is due, or none is meant to be.
    """
    counters = reallocator.counters
    if reallocator.method.rule.num_left(counters.method) == 0 or not batches:
        return None
    before = ends = _beginning(reallocator, epochs, batches)
    if reallocator.has_ended(before):
        return _passed(reallocator)
    for later in _moments(reallocator, epochs, batches, execution):
        if reallocator.has_ended(later):
            break
        if reallocator.is_due(before.step, later, counters.last_step):
            return None
        before = ends = later
    return (
        "no weight moves: masks may change until optimizer step "
        f"{ends.step}, and no reallocation is due by then, as the period is "
        f"{reallocator.period_at(ends)}{_since(reallocator)}. Use a shorter "
        "period, or more epochs"
    )


def remark(reallocator: Reallocator) -> str | None:
    """Says what a user may not expect of a method where training begins.

    Args:
        reallocator: That of the training.

    Returns:
        A sentence; None where there is nothing to say, or weights moved before.
    """
    if reallocator.counters.num_reallocations:
        return None
    moment = reallocator.moment()
    if not reallocator.is_built or reallocator.has_ended(moment):
        return None
    before = max(0, moment.step - reallocator.period_at(moment))
    return reallocator.method.rule.remark(
        [extent_of(x) for x in reallocator.layers],
        replace(moment, step=before),
    )


def _passed(reallocator: Reallocator) -> str | None:
    """Says that a step, or a share of all steps, has passed already."""
    if isinstance(reallocator.stop, FromEpoch):
        return None
    return (
        f"no weight moves: `stop={reallocator.stop}` has passed at optimizer "
        f"step {reallocator.moment().step}, where it begins. Steps and shares "
        "count from the optimizer's first step on: compile the model again to "
        "begin anew"
    )


def _due(
    reallocator: Reallocator, epochs: range, batches: int, execution: int
) -> Iterator[Moment]:
    """Yields when reallocations run."""
    last, before = reallocator.counters.last_step, reallocator.moment()
    for later in _moments(reallocator, epochs, batches, execution):
        if reallocator.is_due(before.step, later, last):
            last = later.step
            yield later
        before = later


def _since(reallocator: Reallocator) -> str:
    begin = reallocator.begin_step
    return f", counted from step {begin} on" if begin else ""


def _moments(
    reallocator: Reallocator, epochs: range, batches: int, execution: int
) -> Iterator[Moment]:
    """Yields when a reallocation may run; the last is the end of training."""
    begin = _beginning(reallocator, epochs, batches)
    each = batches_a_step(reallocator.optimizer)
    done = 0
    for epoch in epochs:
        for batch in (*range(execution, batches, execution), batches):
            step = begin.step + (done + batch) // each
            yield replace(begin, step=step, epoch=epoch)
        done += batches


def _beginning(reallocator: Reallocator, epochs: range, batches: int) -> Moment:
    """Returns where training stands, with the epoch and the length to come."""
    step = reallocator.moment().step
    each = batches_a_step(reallocator.optimizer)
    return Moment(step, epochs.start, step + len(epochs) * batches // each)
