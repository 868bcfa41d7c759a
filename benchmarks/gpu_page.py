"""Shows what `benchmarks.gpu` found, as a page in Markdown.

Parts may be missing, or may have failed.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from benchmarks import command
from benchmarks import step
from benchmarks import timing

Record = dict[str, Any]


def page(records: Sequence[Record]) -> str:
    """Returns the page."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        _show_machine(_of(records, "machine"))
        _show_verdicts(records)
        for title, kind, show in _SECTIONS:
            if found := _of(records, kind):
                print(f"\n## {title}\n")
                show(found)
        _show_errors(records)
    return text.getvalue()


def _of(records: Sequence[Record], kind: str) -> list[Record]:
    """Returns the parts of a kind that came to an end."""
    ended = (x for x in records if x["verdict"] not in ("running", "FAILED"))
    return [x for x in ended if x["kind"] == kind]


def _show_machine(found: Sequence[Record]) -> None:
    print("# dsr_tf on this machine\n")
    for machine in found:
        cards = [x.get("device_name", "a GPU") for x in machine["gpus"]]
        names = ("dsr_tf", "tensorflow", "keras", "cuda", "cudnn")
        command.table(
            ["GPUs", *names],
            [[", ".join(cards) or "none", *(str(machine[x]) for x in names)]],
        )
        if not cards:
            print("\nThere is no GPU: all of this ran on the CPU.")


def _show_verdicts(records: Sequence[Record]) -> None:
    wrong = [x for x in records if x["verdict"] not in ("RIGHT", "done")]
    right = sum(x["verdict"] == "RIGHT" for x in records)
    print(f"\n{right} parts were checked and are RIGHT.")
    for record in wrong:
        print(f"\n* {record['name']}: {record['verdict']}")


def _show_replicas(found: Sequence[Record]) -> None:
    for x in found:
        if x["replicas"] == 1:
            print("There is one card, so replicas were NOT CHECKED.")
            continue
        print(
            f"{x['replicas']} replicas against one device: {x['verdict']}. "
            f"Kernels moved by {x['kernels_moved']:.2g} at most, and are "
            f"{x['kernels_apart']:.2g} apart. Of {x['weights']:,} weights "
            f"{x['masks_moved'] // 2:,} moved; {x['masks_differing']:,} places "
            f"of masks differ, and {x['copies_differing']:,} numbers between "
            "replicas."
        )


def _show_methods(found: Sequence[Record]) -> None:
    command.table(
        [
            *("method", "network", "precision", "XLA", "verdict"),
            *("reallocations", "step / dense", "memory / dense"),
        ],
        map(_row, found),
    )


def _row(x: Record) -> list[str]:
    # What a card held for each; on a CPU nobody counts it.
    memory = (
        f"{x['peak_bytes'] / x['peak_bytes_of_dense']:.2f}, "
        f"{x['peak_bytes'] / 2**20:,.0f} MiB"
        if x["peak_bytes_of_dense"]
        else "–"
    )
    return [
        *(x["method"], x["network"], x["precision"]),
        "yes" if x["xla"] else "no",
        x["verdict"],
        str(x["reallocations"]),
        timing.ranged(x["to_dense"]),
        memory,
    ]


def _show_determinism(found: Sequence[Record]) -> None:
    command.table(
        ["method", "XLA", "trained twice"],
        (
            [x["method"], "yes" if x["xla"] else "no", x["verdict"]]
            for x in found
        ),
    )


def _show_reallocation(found: Sequence[Record]) -> None:
    command.table(
        ["weights", "threshold found anew, the default", "one that adapts"],
        (
            [
                f"{x['weights']:,}",
                f"{1000 * x['anew_seconds']['median']:.1f} ms",
                f"{1000 * x['reallocation_seconds']['median']:.1f} ms",
            ]
            for x in found
        ),
    )


def _show_steps(found: Sequence[Record]) -> None:
    step.show({"networks": found})


def _show_errors(records: Sequence[Record]) -> None:
    for x in records:
        if "error" in x:
            print(f"\n## {x['name']}: FAILED\n")
            print(f"```\n{x['error']}\n\n{x['log']}\n```")


_SECTIONS = (
    ("Replicas", "replicas", _show_replicas),
    ("Every method", "method", _show_methods),
    ("Determinism", "determinism", _show_determinism),
    ("A reallocation", "reallocation", _show_reallocation),
    ("Steps", "step", _show_steps),
)
