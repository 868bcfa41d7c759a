"""Signs that weights begin with, and pruning where they flip."""

import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.methods.context import Extent
from dsr_tf.methods.deep_rewiring import AtRandomWithSigns
from dsr_tf.methods.deep_rewiring import SignFlipped
from dsr_tf.methods.masked import MaskedContext
from dsr_tf.schedules import Moment
from tests.contexts import context
from tests.contexts import lists
from tests.contexts import masked

SEED = tf.constant([0, 0])


def one(*args, **kwargs):
    return MaskedContext([masked(*args, **kwargs)])


def signs(*values):
    return np.array(values, np.int8)


def test_weights_whose_sign_flipped_go():
    # The third is 0 and has no sign; the last two are not active.
    ctx = one(
        [0.3, -0.1, 0.0, 0.2, -0.4, 0.0, 0.0],
        [1, 1, 1, 1, 1, 0, 0],
        signs=signs(1, 1, -1, -1, -1, 1, -1),
    )
    assert lists(SignFlipped(0.0)(ctx)) == [[1, 3]]


def test_low_precision_keeps_its_signs():
    ctx = one([1e-30, -1e-30], [1, 1], dtype="bfloat16", signs=signs(1, 1))
    assert lists(SignFlipped(0.0)(ctx)) == [[1]]


def test_signs_are_those_of_single_weights():
    rule = SignFlipped(0.0)
    assert rule.check([Extent("a", 3, 9), Extent("b", 3, 9)]) is None
    with pytest.raises(ValueError, match="units of 9 weights in layer 'b'"):
        rule.check([Extent("a", 3, 9), Extent("b", 3, 9, unit_size=9)])


def test_signs_are_taken_of_weights_and_drawn_for_zeros():
    weights = [0.0] * 500 + [0.1, -0.2, 0.0]
    mask = [1] * 502 + [0]
    ctx = context([weights, weights], [mask, mask])
    first, second = SignFlipped(0.0).begin(ctx, SEED)["signs"]
    for row in (first, second):
        # Of the active weights alone.
        assert row.shape == [502] and row.dtype == tf.int8
        assert row.numpy()[500:].tolist() == [1, -1]
        assert set(row.numpy()[:500].tolist()) == {-1, 1}
        assert abs(row.numpy()[:500].mean()) < 0.2
    assert (first != second).numpy().any()


def test_signs_of_zeros_stay_when_training_goes_on():
    # The first two have kept the signs they were given; the next were assigned
    # from outside: their own sign counts, and a zero that had none gets one.
    ctx = one(
        [0.0, 0.0, 0.5, -0.5, 0.0],
        [1, 1, 1, 1, 1],
        signs=signs(1, -1, -1, 0, 0),
    )
    (found,) = SignFlipped(0.0).begin(ctx, SEED)["signs"]
    assert found.numpy()[:4].tolist() == [1, -1, 1, -1]
    assert found.numpy()[4] in (-1, 1)


def test_grown_weights_get_random_signs():
    mask = np.arange(3000) < 10
    ctx = context([mask * 1.0] * 2, [mask] * 2)
    counts = tf.constant([1000, 500], tf.int64)
    first, second = AtRandomWithSigns()(ctx, counts, SEED)
    for growth, count in ((first, 1000), (second, 500)):
        row = growth.arrays["signs"].numpy()
        assert row.dtype == np.int8 and row.shape == (count,)
        assert set(row.tolist()) == {-1, 1} and abs(row.mean()) < 0.2
    again = AtRandomWithSigns()(ctx, counts, tf.constant([0, 1]))[0]
    assert (again.arrays["signs"] != first.arrays["signs"]).numpy().any()


def test_noise_follows_the_schedule_of_the_temperature():
    # N(0, 2 * eta * T): of 2 * .5 * .04 the root is .2.
    rule = SignFlipped({0: 0.0, 1: 0.04}, noise_rate=0.5)
    found = [rule.numbers({}, Moment(9, epoch))["stddev"] for epoch in (0, 1)]
    assert found == pytest.approx([0.0, 0.2])


def test_temperatures_of_ones_own_schedule_are_checked_when_they_come():
    rule = SignFlipped(lambda moment: 0.02 - moment.step)
    assert rule.numbers({}, Moment(0))["stddev"] == pytest.approx(0.02)
    with pytest.raises(ValueError, match="`temperature` must be a number"):
        rule.numbers({}, Moment(1))
