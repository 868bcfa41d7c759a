"""What has to be the same on all workers, and is not."""

import json
import os.path
from collections.abc import Mapping
from collections.abc import Sequence

import tensorflow as tf

from dsr_tf.distribute.agree import settle
from dsr_tf.distribute.agree import texts

# Characters of a value that a message shows.
_SHOWN = 60


def check_alike(
    strategy: tf.distribute.Strategy, facts: Mapping[str, str]
) -> None:
    """Raises an error, on all workers, if facts differ between them.

    Args:
        strategy: Strategy of several workers, all of which must call this; with
            one worker nothing is compared.
        facts: What has to be the same on all workers, by name.

    Raises:
        ValueError: With each fact that differs, and its value on each worker.
    """
    said = texts(strategy, json.dumps(dict(facts)))
    differing = differences([json.loads(text) for text in said])
    if differing:
        settle(strategy)
        raise ValueError(
            "The workers must have the same flags, data and code. Received: "
            + "; ".join(differing)
        )


def differences(facts: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns a text on each fact that differs.

    Args:
        facts: Those of each worker. A worker need not have every fact.
    """
    names = list(dict.fromkeys(name for own in facts for name in own))
    values = {name: [own.get(name) for own in facts] for name in names}
    return [
        f"{name} is {_by_worker(found)}"
        for name, found in values.items()
        if len(set(found)) > 1
    ]


def _by_worker(values: Sequence[str | None]) -> str:
    """Returns which workers have each value."""
    kinds = list(dict.fromkeys(values))
    prefix = os.path.commonprefix([x for x in kinds if x is not None])
    each = [
        f"{_shown(value, len(prefix))} on {_workers(values, value)}"
        for value in kinds
    ]
    return ", ".join(each[:-1]) + " and " + each[-1]


def _workers(values: Sequence[str | None], value: str | None) -> str:
    own = [str(i) for i, other in enumerate(values) if other == value]
    return f"worker{'s' * (len(own) > 1)} {', '.join(own)}"


def _shown(value: str | None, first: int) -> str:
    """Returns a value, and of a long one the part that begins to differ.

    Args:
        value: Of any length; None where a worker does not have the fact.
        first: Characters that the values have in common.
    """
    if value is None:
        return "not given"
    if not value:
        return "empty"
    start = max(0, first - _SHOWN // 3) if len(value) > _SHOWN else 0
    shown = value[start : start + _SHOWN]
    before = "…" if start else ""
    after = "…" if start + _SHOWN < len(value) else ""
    return before + " ".join(shown.split()) + after
