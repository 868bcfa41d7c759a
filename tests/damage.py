"""Damages one file of a run, in ways that a random generator chooses."""

import json
import os
import random
import shutil
from pathlib import Path

FILES = ("summary.json", "metrics.csv", "flags.cfg")
TEXTS = (
    "",
    "x",
    "a" * 300,
    "a" * 5000,
    "a/b/c",
    "../../up",
    "<script>alert(1)</script>",
    "=1+1",
    "a|b\nc\r\td",
    "[red]x[/]",
    "\x1b[2J\x00\x7f",
    "\ud800",
    "\u202e\u2028",
    "日本 𝄞",
    "nan",
    "inf",
    "-1",
    "1.5",
    "1e400",
    "9" * 400,
    "9" * 5000,
)
VALUES = (
    *TEXTS,
    *(None, True, False, 0, -1, 1, 1.5, 5e-324, 1e-9, 1e308, 2**31, 2**62),
    *(2**63, 2**64, 10**30, 10**400, float("nan"), float("inf")),
    *([], {}, [[]], [1] * 400, {"x": {}}, [0], ["x"], [2**62, 2], [1]),
)


def damage(run: Path, rng: random.Random) -> str:
    """Damages a file of a run; returns which, and in which way."""
    path = run / rng.choice(FILES)
    ways = [_bytes_are_changed, _file_is_replaced, _both_names_are_changed]
    ways += 4 * [_OF_KIND[path.name]]
    way = rng.choice(ways)
    way(path, rng)
    return f"{path.name}: {way.__name__}"


def _bytes_are_changed(path: Path, rng: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 5))):
        place = rng.randrange(len(content) + 1)
        kind = rng.randrange(4)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del content[place:]
        elif kind == 2:
            content[place:place] = rng.randbytes(rng.choice((1, 9, 2000)))
        else:
            content[place:place] = content[: rng.randrange(200)]
    path.write_bytes(content)


def _file_is_replaced(path: Path, rng: random.Random) -> None:
    path.unlink()
    kind = rng.randrange(6)
    if kind == 0:
        path.mkdir()
    elif kind == 1:
        os.mkfifo(path)
    elif kind == 2:
        path.symlink_to(path)
    elif kind == 3:
        path.symlink_to("/dev/zero")
    elif kind == 4:
        path.write_bytes(rng.randbytes(100))
    else:
        text = json.dumps(rng.choice(VALUES))
        path.write_text(rng.choice((text, "[" * 100_000, '{"a":' * 100_000)))


def _both_names_are_changed(path: Path, rng: random.Random) -> None:
    """Writes the same text into the flags and the summary, as a run does."""
    name, text = rng.choice(("dataset", "model", "method")), rng.choice(TEXTS)
    summary = json.loads((path.parent / FILES[0]).read_text())
    (path.parent / FILES[0]).write_text(json.dumps(summary | {name: text}))
    flags = (path.parent / FILES[2]).read_text().splitlines()
    kept = [x for x in flags if not x.startswith(f"--{name}=")]
    shown = text.encode("utf-8", "replace").decode()
    (path.parent / FILES[2]).write_text("\n".join([*kept, f"--{name}={shown}"]))


def _value_is_changed(path: Path, rng: random.Random) -> None:
    summary = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 2))):
        holder = summary
        while True:
            keys = list(
                holder if isinstance(holder, dict) else range(len(holder))
            )
            if not keys:
                break
            key = rng.choice(keys)
            deeper = isinstance(holder[key], dict | list)
            if not deeper or rng.random() < 0.2:
                if rng.random() < 0.15:
                    del holder[key]
                else:
                    holder[key] = rng.choice(VALUES)
                break
            holder = holder[key]
    path.write_text(json.dumps(summary))


def _cell_is_changed(path: Path, rng: random.Random) -> None:
    rows = [row.split(",") for row in path.read_text().splitlines()]
    row = rng.choice(rows)
    place = rng.randrange(len(row))
    row[place] = rng.choice([*TEXTS, *rows[0], "0", "1", "1e300", "-0.5"])
    if rng.random() < 0.2:
        row.pop()
    text = "\n".join(map(",".join, rows))
    path.write_bytes(text.encode("utf-8", "replace"))


def _flag_is_changed(path: Path, rng: random.Random) -> None:
    lines = path.read_text().splitlines()
    optional = ("depth", "width", "image_size", "train_examples")
    optional += ("train_split", "test_split")
    optional += ("stop_epoch", "masks_from", "init_from", "weights_from")
    name = rng.choice([x.partition("=")[0] for x in lines[1:]])
    name = rng.choice((name, f"--{rng.choice(optional)}"))
    lines.append(f"{name}={rng.choice([*TEXTS, '0', '7'])}")
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))


_OF_KIND = {
    "summary.json": _value_is_changed,
    "metrics.csv": _cell_is_changed,
    "flags.cfg": _flag_is_changed,
}


def copied(run: Path, path: Path) -> Path:
    """Copies the files that a report reads."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    for name in FILES:
        shutil.copy(run / name, path / name)
    return path
