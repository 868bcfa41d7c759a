"""Flags that are made from the settings of methods."""

from dataclasses import make_dataclass

import pytest
from absl import flags

from dsr_tf.cli.method_flags import define
from dsr_tf.cli.method_flags import owners
from dsr_tf.methods import settings
from dsr_tf.methods.record import Record
from dsr_tf.schedules import ByEpoch
from dsr_tf.schedules import Constant
from dsr_tf.schedules import Cosine


def record(name, **fields):
    own = make_dataclass(
        "Settings", [(key, object, x) for key, x in fields.items()]
    )
    return Record(name, "", name, settings=own)


@pytest.fixture
def defined():
    """Defines the flags of records, and takes them away again."""
    names = []

    def define_all(*records):
        for name, rows in owners(records).items():
            define(name, rows)
            names.append(name)
        return [flags.FLAGS[name] for name in names]

    yield define_all
    for name in names:
        delattr(flags.FLAGS, name)


def test_every_kind_of_setting_is_a_flag(defined):
    rows = defined(
        record(
            "own",
            own_count=settings.count(3, "Things."),
            own_number=settings.number(0.5, "A number.", above=True),
            own_choice=settings.choice("a", ("a", "b"), "One of two."),
            own_switch=settings.switch(True, "Whether."),
            own_fraction=settings.scheduled_fraction(0.1, "A part."),
            own_rate=settings.scheduled_number(ByEpoch(((0, 2.0),)), "L2."),
        )
    )
    assert [flag.value for flag in rows] == [
        3, 0.5, "a", True, Constant(0.1), ByEpoch(((0, 2.0),)),
    ]  # fmt: skip
    assert [flag.help for flag in rows[:3]] == [
        "own: things.", "own: a number.", "<a|b>: own: one of two.",
    ]  # fmt: skip
    # A name stays as it is.
    assert rows[-1].help == "own: L2."
    for flag, text in zip(
        rows, ("0", "0", "c", "maybe", "1", "-1"), strict=True
    ):
        with pytest.raises(flags.IllegalFlagValueError):
            flag.parse(text)
    rows[4].parse("cosine:0.3:0")
    assert rows[4].value == Cosine(0.3, 0.0)
    rows[4].parse("0:0.3")
    assert rows[4].serialize() == "--own_fraction=0:0.3"
    rows[5].parse("3")
    assert rows[5].serialize() == "--own_rate=0:3.0"


def test_methods_share_a_setting_of_one_name(defined):
    (flag,) = defined(
        record("one", own_part=settings.fraction(0.1, "Fraction.")),
        record("two", own_part=settings.fraction(0.1, "Fraction.")),
        record("three", own_part=settings.fraction(0.1, "Other fraction.")),
    )
    assert flag.help == "one, two: fraction. three: other fraction."
    assert flag.value == 0.1


def test_methods_may_differ_in_the_default(defined):
    (flag,) = defined(
        record("one", own_part=settings.fraction(0.1, "Fraction.")),
        record("two", own_part=settings.fraction(0.2, "Fraction.")),
    )
    assert flag.value is None
    assert flag.help == "one, two: fraction. (default: one: 0.1, two: 0.2)"


@pytest.mark.parametrize(
    "other",
    [
        settings.number(0.1, "Fraction."),
        settings.count(1, "Fraction."),
        settings.scheduled_fraction(0.1, "Fraction."),
        settings.choice("a", ("a", "b"), "Fraction."),
    ],
)
def test_methods_may_not_differ_in_what_they_take(defined, other):
    with pytest.raises(
        ValueError, match="must be of one kind.*own_part of .*t"
    ):
        defined(
            record("one", own_part=settings.fraction(0.1, "Fraction.")),
            record("two", own_part=other),
        )
