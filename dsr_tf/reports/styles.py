"""Colour and marker of each method, alike in all pictures."""

from typing import Any

from dsr_tf.methods.records import records

# Colours of Okabe and Ito, which colour-blind people tell apart, and a grey.
_STYLES = {
    "dsr": ("#D55E00", "o"),
    "compressed": ("#0072B2", "s"),
    "deepr": ("#009E73", "^"),
    "set": ("#E69F00", "D"),
    "hashed": ("#CC79A7", "P"),
    "thin_dense": ("#777777", "X"),
    "static": ("#56B4E9", "v"),
    "dense": ("#000000", "*"),
    # Of Paul Tol's muted ones.
    "rigl": ("#882255", "<"),
    "itop": ("#999933", "p"),
    "snfs": ("#332288", ">"),
    "granet": ("#117733", "d"),
    "mest": ("#AA4466", "H"),
    "chts": ("#44AA99", "8"),
}
# Of methods that are not named above, in the order of their records, so that a
# new method leaves the colours of the others as they are.
_SPARE = (
    ("#661100", "$1$"),
    ("#6699CC", "$2$"),
    ("#DDAA33", "$3$"),
)
# Of methods without a record.
_UNKNOWN = ("#7B5C3E", "h")


def style(method: str) -> dict[str, Any]:
    """Returns colour and marker of a method, as Matplotlib takes them."""
    color, marker = _style(method)
    return {"color": color, "marker": marker}


def color(method: str) -> str:
    """Returns the colour of a method."""
    return _style(method)[0]


def _style(method: str) -> tuple[str, str]:
    if method in _STYLES:
        return _STYLES[method]
    new = [x.name for x in records() if x.name not in _STYLES]
    if method not in new:
        return _UNKNOWN
    return _SPARE[new.index(method) % len(_SPARE)]
