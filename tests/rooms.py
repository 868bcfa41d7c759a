"""Which rooms of the package there are, and which imports which.

`python -m tests.rooms` prints the picture of `docs/architecture.md`.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "dsr_tf"
# The lowest first: a room imports from those before it, and from no other.
ROOMS = (
    "launch",
    "checks",
    "files",
    "budget",
    "schedules",
    "units",
    "layers",
    "graph",
    "methods",
    "distribute",
    "data",
    "training",
    "convert",
    "models",
    "analysis",
    "exporting",
    "callbacks",
    "runs",
    "reports",
    "cli",
)
# What is the program itself is in no room.
ENTRIES = ("__init__", "__main__")


def imported(path):
    """Returns the modules that a file imports, by their full names."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    bare = [node for node in nodes if isinstance(node, ast.Import)]
    plain = [x.name for node in bare for x in node.names]
    fro = [n for n in nodes if isinstance(n, ast.ImportFrom)]
    assert all(node.level == 0 for node in fro), path
    return plain + [f"{n.module}.{x.name}" for n in fro for x in n.names]


def room(module):
    """Returns the room of a module of the package; None of any other."""
    package, _, rest = module.partition(".")
    return rest.split(".")[0] if package == "dsr_tf" and rest else None


def files():
    """Yields the files of all rooms, with their rooms."""
    for path in sorted(PACKAGE.rglob("*.py")):
        first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if first not in ENTRIES:
            yield first, path


def arrows():
    """Returns all pairs of a room and another that it imports from."""
    found = {
        (own, room(module))
        for own, path in files()
        for module in imported(path)
    }
    return {(a, b) for a, b in found if b is not None and a != b}


def picture():
    """Returns the arrows as a Mermaid diagram, without those that others imply.

    An arrow from one room to another is left out where a way of several
    arrows leads there too.
    """
    edges = arrows()
    reached = {a: {b for x, b in edges if x == a} for a in ROOMS}
    for own in ROOMS:
        # Lower rooms come first, so theirs are complete.
        for other in sorted(reached[own], key=ROOMS.index):
            reached[own] |= reached[other]
    kept = [
        (a, b)
        for a, b in sorted(edges, key=lambda e: tuple(map(ROOMS.index, e)))
        if not any(b in reached[x] for e, x in edges if e == a and x != b)
    ]
    lines = [f"    {a} --> {b}" for a, b in reversed(kept)]
    return "\n".join(["graph TD", *lines])


if __name__ == "__main__":
    print(picture())
