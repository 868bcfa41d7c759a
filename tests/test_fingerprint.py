import numpy as np
import pytest
import tensorflow as tf

from dsr_tf.distribute.fingerprint import fingerprint

RNG = np.random.default_rng(0)


def number(values):
    return int(fingerprint(tf.constant(values)))


def test_fingerprint_of_a_case_by_hand():
    # a and b are odd, and the same in every process.
    a, b = (
        np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, 2) | 1
        for seed in (1, 0)
    )
    # bits  5 7
    #       0 2
    total = sum(int(x) * y for x, y in zip([5, 7], b.tolist(), strict=True))
    expected = int(a[0]) * total + int(a[1]) * 2 * int(b[1])
    assert (number([[5, 7], [0, 2]]) - expected) % 2**64 == 0


@pytest.mark.parametrize("shape", [(1,), (7,), (4, 5), (3, 3, 2, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "bool"])
def test_every_single_change_shows(shape, dtype):
    values = RNG.normal(size=shape).astype(dtype)
    before = number(values)
    assert number(values.copy()) == before
    for position in range(values.size):
        changed = values.copy()
        entry = changed.reshape(-1)[position : position + 1]
        entry.view("uint8")[0] ^= 1
        assert number(changed) != before


def test_moved_values_show():
    values = RNG.normal(size=(6, 5)).astype("float32")
    mask = np.zeros((6, 5), bool)
    mask[2, 3] = True
    assert number(values) != number(values[::-1].copy())
    assert number(values) != number(values.T.copy())
    assert number(mask) != number(np.roll(mask, 1))


def test_bits_count_and_not_values():
    assert number([0.0]) != number([-0.0])
    assert number([np.nan]) == number([np.nan])
