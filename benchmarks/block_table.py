"""The table of what blocks cost in accuracy, from its records."""

import statistics
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from benchmarks import command

Records = Iterable[Mapping[str, Any]]
_LABELS = {"static": "static", "set": "SET", "dsr": "DSR", "rigl": "RigL"}


def show(records: Records) -> None:
    """Prints the mean and the spread over seeds, for each network."""
    tested = [row for row in records if row["tested"] != "choice"]
    for network in _ordered(row["network"] for row in tested):
        print()
        _show_network([row for row in tested if row["network"] == network])


def _show_network(rows: list[Mapping[str, Any]]) -> None:
    dense = [row for row in rows if row["method"] == "dense"]
    sparse = [row for row in rows if row["method"] != "dense"]
    print(f"{rows[0]['network']}, dense: {spread(dense)}\n")
    found = {(row["density"], row["method"]) for row in sparse}
    densities = sorted({density for density, _ in found}, reverse=True)
    every = [(x, method) for x in densities for method in _LABELS]
    columns = [column for column in every if column in found]
    command.table(
        ["granularity", *(f"{x:g}, {_LABELS[name]}" for x, name in columns)],
        (
            [granularity, *(_cell(sparse, granularity, *x) for x in columns)]
            for granularity in _ordered(row["granularity"] for row in sparse)
        ),
    )


def _cell(rows: Records, granularity: str, density: float, method: str) -> str:
    key = granularity, density, method
    return spread(
        row
        for row in rows
        if (row["granularity"], row["density"], row["method"]) == key
    )


def spread(rows: Records) -> str:
    """Shows the mean and, of several seeds, the standard deviation."""
    found = [row["accuracy"] for row in rows]
    if not found:
        return "–"
    mean = f"{statistics.mean(found):.2f}"
    if len(found) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(found):.2f}"


def _ordered(names: Iterable[str]) -> list[str]:
    """Returns each name once, in the order of the records."""
    return list(dict.fromkeys(names))
