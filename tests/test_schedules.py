import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsr_tf.callbacks import DSR
from dsr_tf.callbacks import SET
from dsr_tf.checks import checked_count
from dsr_tf.checks import checked_fraction
from dsr_tf.checks import checked_number
from dsr_tf.layers import SparseDense
from dsr_tf.schedules import DEFAULT_PERIOD
from dsr_tf.schedules import RAMPS
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Cosine
from dsr_tf.schedules import Cubic
from dsr_tf.schedules import Exponential
from dsr_tf.schedules import FromEpoch
from dsr_tf.schedules import Linear
from dsr_tf.schedules import Moment
from dsr_tf.schedules import Ramp
from dsr_tf.schedules import Times
from dsr_tf.schedules import as_schedule
from dsr_tf.schedules import checked_end
from dsr_tf.schedules import has_ended
from dsr_tf.schedules import identity
from dsr_tf.schedules import parse

# Above 0, which all ramps take.
NUMBERS = st.floats(1e-30, 1e30)


@st.composite
def by_epoch(draw, numbers=NUMBERS):
    epochs = draw(st.sets(st.integers(1, 10**6), max_size=5))
    return ByEpoch(tuple((e, draw(numbers)) for e in (0, *sorted(epochs))))


@st.composite
def ramps(draw):
    shares = st.floats(0, 1, exclude_min=True)
    until = draw(shares | st.integers(2, 10**9))
    kind = draw(st.sampled_from(sorted(RAMPS)))
    return RAMPS[kind](draw(NUMBERS), draw(NUMBERS), until)


@given(NUMBERS.map(Constant) | by_epoch() | ramps())
def test_text_is_read_as_the_schedule_that_it_was_written_of(schedule):
    again = parse(str(schedule))
    assert again == schedule and type(again) is type(schedule)
    assert str(again) == str(schedule)
    assert identity(schedule) == str(schedule)


@given(st.integers(0, 10**9).map(Constant) | by_epoch(st.integers(0, 10**9)))
def test_text_of_integers_stays_of_integers(schedule):
    again = parse(str(schedule), int)
    assert again == schedule
    assert all(isinstance(value, int) for value in again.values)


@pytest.mark.parametrize(
    "text, schedule",
    [
        # Those at the head of the module.
        ("0.1", Constant(0.1)),
        ("0:0.1,25:0.02", ByEpoch(((0, 0.1), (25, 0.02)))),
        ("linear:0.5:0.1", Linear(0.5, 0.1)),
        ("cosine:0.3:0:0.75", Cosine(0.3, 0, 0.75)),
        ("cubic:0:0.9:0.5", Cubic(0, 0.9, 0.5)),
        ("exponential:0.1:0.001", Exponential(0.1, 0.001)),
        # A share, and a step; the whole, however it is written.
        ("linear:0.5:0.1:1000", Linear(0.5, 0.1, 1000)),
        ("linear:0.5:0.1:1", Linear(0.5, 0.1, 1.0)),
        ("linear:0.5:0.1:1.0", Linear(0.5, 0.1, 1.0)),
    ],
)
def test_text_forms(text, schedule):
    found = parse(text)
    assert found == schedule
    assert type(getattr(found, "until", 0)) is type(
        getattr(schedule, "until", 0)
    )


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "could not convert"),
        ("fast", "could not convert"),
        ("linear", "not enough values"),
        ("linear:0.5", "not enough values"),
        ("linear:0.5:0.1:0.5:7", "arguments"),
        ("linear:0.5:0.1:2.5", "`until` must be a share"),
        ("linear:0.5:-1", "`end` must be a number"),
        ("exponential:0.5:0", "`end` must be a number above 0"),
        ("square:0.5:0.1", "too many values"),
        ("square:0.5", "invalid literal"),
        ("0:0.1:0.2", "too many values"),
        ("5:0.1", "an entry for epoch 0"),
        ("0:0.1,9:0.2,3:0.4", "rising epochs"),
    ],
)
def test_other_texts_are_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match="A schedule must be written as") as e:
        parse(text)
    assert f"Received: {text!r}" in str(e.value) and reason in str(e.value)


def test_by_epoch_gives_the_entry_that_was_reached_last():
    schedule = ByEpoch(((0, 5), (2, 10), (7, 20)))
    found = [schedule(Moment(0, epoch=epoch)) for epoch in range(9)]
    assert found == [5, 5, 10, 10, 10, 10, 10, 20, 20]
    assert schedule.values == (5, 10, 20)
    assert ByEpoch(((0, 5),))(Moment(10**9, 10**6, 5)) == 5


@pytest.mark.parametrize(
    "entries", [(), ((1, 5),), ((0, 5), (0, 6)), ((0, 5), (3, 1), (2, 1))]
)
def test_by_epoch_must_begin_at_0_and_rise(entries):
    with pytest.raises(ValueError, match="`entries` must have an entry for"):
        ByEpoch(entries)


def test_by_epoch_takes_a_mapping_in_any_order():
    schedule = ByEpoch({5: 1, 0: 2})
    assert schedule == ByEpoch(((0, 2), (5, 1))) == ByEpoch([[0, 2], [5, 1]])
    assert hash(schedule) == hash(ByEpoch(((0, 2), (5, 1))))
    assert str(schedule) == "0:2,5:1"


@pytest.mark.parametrize(
    "entries", [3, None, "0:5", {0, 5}, (0, 5), ((0,),), ((0, 5, 6),), {}]
)
def test_by_epoch_must_be_pairs_or_a_mapping(entries):
    with pytest.raises(ValueError, match="`entries` must .*Received: entries"):
        ByEpoch(entries)


@pytest.mark.parametrize("epoch", [-1, 0.5, True, None, "0"])
def test_epochs_of_a_schedule_are_counts(epoch):
    for entries in ({epoch: 1}, ((epoch, 1),)):
        with pytest.raises(ValueError, match="`entries' epochs` must be an in"):
            ByEpoch(entries)


def test_by_epoch_must_know_the_epoch():
    with pytest.raises(ValueError, match="`steps_per_epoch`.*0:5 at step 3"):
        ByEpoch(((0, 5),))(Moment(3))


SHAPES = {
    "linear": [0, 0.25, 0.5, 0.75, 1],
    # (1 - cos(pi x)) / 2 at 0, 45, 90, 135 and 180 degrees.
    "cosine": [0, (1 - 0.5**0.5) / 2, 0.5, (1 + 0.5**0.5) / 2, 1],
    # 1 - (1 - x)³: 27, 8 and 1 of 64 are left.
    "cubic": [0, 37 / 64, 56 / 64, 63 / 64, 1],
}


@pytest.mark.parametrize("name", SHAPES)
def test_ramps_worked_by_hand(name):
    # From .6 to .2 in 80 steps, which are half of 160.
    expected = [0.6 - 0.4 * x for x in SHAPES[name]]
    for ramp in (RAMPS[name](0.6, 0.2, 80), RAMPS[name](0.6, 0.2, 0.5)):
        found = [ramp(Moment(20 * i, num_steps=160)) for i in range(5)]
        assert found == pytest.approx(expected)


def test_exponential_ramp_worked_by_hand():
    # From 8 to .5 in four equal times: each takes half of it.
    ramp = Exponential(8, 0.5, 40)
    found = [ramp(Moment(10 * i)) for i in range(6)]
    assert found == pytest.approx([8, 4, 2, 1, 0.5, 0.5])


@given(ramps(), st.integers(0, 10**10), st.integers(1, 10**10))
def test_ramps_stay_between_their_ends_and_keep_the_last(ramp, step, num_steps):
    value = ramp(Moment(step, num_steps=num_steps))
    low, high = sorted(ramp.values)
    assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9)
    assert ramp(Moment(0, num_steps=num_steps)) == pytest.approx(ramp.start)
    until = ramp.until
    end = until * num_steps if isinstance(until, float) else until
    if step >= end:
        assert value == ramp.end


def test_ramps_go_over_the_whole_training_by_default():
    ramp = Linear(1.0, 0.0)
    found = [ramp(Moment(step, num_steps=50)) for step in (0, 25, 50, 99)]
    assert found == [1.0, 0.5, 0.0, 0.0]


def test_shares_need_the_length_of_the_training():
    message = r"`num_steps`; or take a step.*a share of 0\.5 at step 3"
    with pytest.raises(ValueError, match=message):
        Linear(1.0, 0.0, 0.5)(Moment(3))
    assert Linear(1.0, 0.0, 6)(Moment(3)) == 0.5


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((-1, 1), "`start` must be a number of at least 0"),
        ((1, math.nan), "`end` must be a number of at least 0"),
        ((True, 1), "`start` must be a number of at least 0"),
        *(
            ((1, 1, until), "`until` must be a share of the training, a float")
            for until in (0.0, -0.5, 1.5, 0, 1, -3, math.nan, True, None, "2")
        ),
    ],
)
@pytest.mark.parametrize("kind", RAMPS.values())
def test_ramps_check_their_arguments(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)


@pytest.mark.parametrize("ends", [(0, 1), (1, 0)])
def test_exponential_ramps_begin_and_end_above_0(ends):
    with pytest.raises(ValueError, match="must be a number above 0"):
        Exponential(*ends)


def test_schedules_are_equal_by_what_they_do():
    assert Linear(1, 2, 0.5) == Linear(1, 2, 0.5) != Linear(1, 2, 0.6)
    assert Linear(1, 2) != Cosine(1, 2)
    assert len({Linear(1, 2), Linear(1, 2), Cosine(1, 2)}) == 2


@pytest.mark.parametrize(
    "end, moment, ended",
    [
        (None, Moment(10**9, 10**9, 1), False),
        (0, Moment(0), True),
        (10, Moment(9), False),
        (10, Moment(10), True),
        (0.5, Moment(9, num_steps=20), False),
        (0.5, Moment(10, num_steps=20), True),
        (1.0, Moment(19, num_steps=20), False),
        (1.0, Moment(20, num_steps=20), True),
        (FromEpoch(2), Moment(99, epoch=1), False),
        (FromEpoch(2), Moment(99, epoch=2), True),
        (FromEpoch(0), Moment(0, epoch=0), True),
    ],
)
def test_what_ends_has_ended_from_there_on(end, moment, ended):
    assert checked_end("stop", end) is end
    assert has_ended(end, moment) is ended


@pytest.mark.parametrize(
    "end, message",
    [(0.5, "`num_steps`.*share of 0.5"), (FromEpoch(2), "`steps_per_epoch`")],
)
def test_ends_need_what_they_go_by(end, message):
    with pytest.raises(ValueError, match=message):
        has_ended(end, Moment(3))


@pytest.mark.parametrize("end", [-1, 0.0, 1.5, math.nan, True, "2", {0: 1}])
def test_other_ends_are_refused(end):
    with pytest.raises(ValueError, match="`stop` must be a share of the train"):
        checked_end("stop", end)


@pytest.mark.parametrize("epoch", [-1, 0.5, None, True])
def test_ends_by_epoch_name_one(epoch):
    with pytest.raises(ValueError, match="`epoch` must be an integer"):
        FromEpoch(epoch)


def of_ones_own(moment):
    return moment.step


@pytest.mark.parametrize(
    "value, schedule",
    [
        (0.25, Constant(0.25)),
        (np.float32(0.25), Constant(0.25)),
        (Constant(0.25), Constant(0.25)),
        ({3: 0.5, 0: 0.25}, ByEpoch(((0, 0.25), (3, 0.5)))),
        (ByEpoch(((0, 0.25),)), ByEpoch(((0, 0.25),))),
        (Linear(0.5, 0.25), Linear(0.5, 0.25)),
        (of_ones_own, of_ones_own),
    ],
)
def test_numbers_and_mappings_are_schedules_too(value, schedule):
    found = as_schedule("drop", value, checked_fraction)
    assert found == schedule and type(found) is type(schedule)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        None,
        "0.5",
        {0: 0.5, 3: 1.5},
        Constant(1.5),
        ByEpoch(((0, 0.5), (3, 1.5))),
        Linear(0.5, 1.5),
        Linear(1.5, 0.5),
    ],
)
def test_values_of_a_schedule_are_checked(value):
    with pytest.raises(ValueError, match="`drop` must be a fraction in"):
        as_schedule("drop", value, checked_fraction)


@pytest.mark.parametrize("value", [{}, {1: 0.5}])
def test_mappings_must_begin_at_epoch_0(value):
    with pytest.raises(ValueError, match="`drop` must have a value for epoch"):
        as_schedule("drop", value, checked_fraction)


@pytest.mark.parametrize("epoch", [-1, 0.5, "1", None])
def test_mappings_must_name_epochs(epoch):
    with pytest.raises(ValueError, match="`drop's epochs` must be an integer"):
        as_schedule("drop", {0: 0.5, epoch: 0.5}, checked_number)


def test_counts_stay_counts():
    assert as_schedule("n", Linear(5, 50), checked_count) == Linear(5, 50)
    with pytest.raises(ValueError, match="`n` must be an integer"):
        as_schedule("n", Linear(5.0, 50.0), checked_count)


def test_identity_of_ones_own_schedule_is_the_same_in_every_process():
    class Own:
        def __call__(self, moment):
            return 1

    name = "test_identity_of_ones_own_schedule_is_the_same_in_every_process"
    assert identity(of_ones_own) == "of_ones_own"
    assert identity(Own()) == identity(Own()) == f"{name}.<locals>.Own"


def network():
    keras.utils.set_random_seed(0)
    layer = SparseDense(50, 0.5, use_bias=False)
    net = keras.Sequential([keras.Input((20,)), layer])
    net.compile(keras.optimizers.SGD(0.1), "mse")
    return net


class Steps(keras.callbacks.Callback):
    """Records at which optimizer steps how many weights have moved."""

    def __init__(self, moves):
        super().__init__()
        self.moves = moves
        self.moved = {}
        self._before = 0

    def on_train_batch_end(self, batch, logs=None):
        state = self.moves.state
        if state.num_reallocations != len(self.moved):
            step = int(self.model.optimizer.iterations.numpy())
            self.moved[step] = state.weights_moved - self._before
            self._before = state.weights_moved


def moved(moves, epochs=4, **arguments):
    """Returns at which steps how many weights moved, of 20 steps an epoch."""
    x = np.random.default_rng(0).normal(size=(160, 20))
    watch = Steps(moves)
    network().fit(
        x, np.zeros((160, 50)), batch_size=8, epochs=epochs, verbose=0,
        callbacks=[moves, watch], **arguments,
    )  # fmt: skip
    return watch.moved


@pytest.mark.parametrize(
    "period, expected",
    [
        ({0: 10, 2: 20}, [10, 20, 30, 40, 60, 80]),
        (parse("0:10,2:20", int), [10, 20, 30, 40, 60, 80]),
        # 25.4 is rounded to 25.
        (
            lambda moment: 8 if moment.step < 30 else 25.4,
            [8, 16, 24, 50, 75],
        ),
        (lambda moment: 20 if moment.epoch % 2 else 5, [5, 10, 15, 20, 40, 45]),
    ],
    ids=["mapping", "text", "function of steps", "function of epochs"],
)
def test_period_is_a_schedule(period, expected):
    found = [*moved(DSR(5, period))]
    assert found[: len(expected)] == expected


def test_period_grows_along_a_ramp():
    # 2 + 8 s / 80, rounded: 2 at the first step, 10 at the last. One runs where
    # so many steps have passed since the one before.
    ramp, expected = Linear(2, 10), [0]
    for step in range(1, 81):
        if step - expected[-1] >= round(2 + 8 * step / 80):
            expected.append(step)
    assert [*moved(DSR(5, ramp))] == expected[1:]
    assert expected[:4] == [0, 2, 4, 7] and expected[-1] == 74


@pytest.mark.parametrize(
    "period, expected",
    [
        # A tenth of 80 steps; the least; the hundredth would be one step.
        (Times(10, 1), range(8, 81, 8)),
        (Times(10, 25), [20, 40, 60, 80]),
        (Times(10, 15), [15, 30, 45, 60, 75]),
        (DEFAULT_PERIOD, range(10, 81, 10)),
        ("times:4", [20, 40, 60, 80]),
        ("times:40:3", range(3, 81, 3)),
    ],
    ids=str,
)
def test_period_follows_the_length_of_the_training(period, expected):
    period = parse(period, int) if isinstance(period, str) else period
    assert [*moved(DSR(5, period))] == list(expected)


def test_period_is_a_constant_where_the_length_is_not_known():
    assert Times(7)(Moment(5)) == 100
    assert str(Times(7)) == "times:7" and parse("times:7:5") == Times(7, 5)


@pytest.mark.parametrize("arguments", [(0,), (1.5,), (5, 0), (True,)])
def test_times_are_counts(arguments):
    with pytest.raises(ValueError, match="must be"):
        Times(*arguments)


def gone(drop_fraction):
    return int(drop_fraction * 500) + 1


def test_drop_fraction_follows_a_cosine_over_the_training():
    cosine = Cosine(0.4, 0.0)
    expected = {
        step: gone(0.2 * (1 + math.cos(math.pi * step / 80)))
        for step in range(10, 80, 10)
    }
    assert moved(SET(cosine, period=10)) == {**expected, 80: gone(0.0)}


def test_drop_fraction_goes_by_epoch():
    found = moved(SET({0: 0.4, 1: 0.1, 3: 0.0}, period=20))
    assert found == {20: gone(0.4), 40: gone(0.1), 60: gone(0.1), 80: gone(0.0)}


def test_shares_need_a_known_length_in_fit():
    def batches():
        while True:
            yield np.zeros((8, 20)), np.zeros((8, 50))

    moves = SET(Linear(0.4, 0.1), period=2)
    finite = (batch for batch, _ in zip(batches(), range(6), strict=False))
    with pytest.raises(ValueError, match="a share of 1.0 at step 0"):
        network().fit(finite, verbose=0, callbacks=[moves])
    network().fit(batches(), steps_per_epoch=6, verbose=0, callbacks=[moves])
    assert moves.state.num_reallocations == 3


def test_ramps_are_those_of_the_text_forms():
    kinds = Ramp.__subclasses__()
    assert RAMPS == {kind.__name__.lower(): kind for kind in kinds}
