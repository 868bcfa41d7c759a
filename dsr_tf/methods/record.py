"""Records: facts about a method for the command line and the reports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Literal

from dsr_tf.methods.method import Method


@dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


@dataclass(frozen=True)
class Record:
    """The facts about a method that `main.py` and the reports need.

    Args:
        name: Name on the command line.
        help: One line of help.
        label: Name in reports.
        settings: A dataclass whose fields are flags of the command line; the
            functions of `methods.settings` make them.
        build: Makes the method from its settings and the sparsity that was
            asked for. None if no mask changes.
        kernels: Kind of the kernels of its networks: `"masked"`, `"hashed"`,
            which share values, or `"dense"`.
        starts_dense: Whether training begins with all weights active.
        first_sparsity: Returns the sparsity that training begins with, from
            the settings and the sparsity that was asked for; None where that
            is this one.
        every_step: Whether it acts after every optimizer step.
        requires: Flags that must be given with it, by name.
        keeps_counts: Whether each layer ends with the count of active weights
            that it began with.
        moves_units: Whether units of several weights can move.
        settles: Whether nothing in its settings ends its moves, so that
            `--period=auto` does, after three quarters of the training.
    """

    name: str
    help: str
    label: str
    settings: type = NoSettings
    build: Callable[[Any, float], Method] | None = None
    kernels: Literal["masked", "hashed", "dense"] = "masked"
    starts_dense: bool = False
    first_sparsity: Callable[[Any, float], float] | None = None
    every_step: bool = False
    requires: tuple[str, ...] = ()
    keeps_counts: bool = False
    moves_units: bool = True
    settles: bool = False

    @property
    def moves_weights(self) -> bool:
        """Whether its masks change while it trains."""
        return self.build is not None

    @property
    def starts_sparse(self) -> bool:
        """Whether training begins with masks that hide some weights."""
        return self.kernels == "masked" and not self.starts_dense
