"""Texts that were read from files, made safe for what shows them.

Files may hold anything: what ends a line, what moves the cursor of a terminal,
what a browser runs, and what a spreadsheet computes.
"""

import html
import re

# What begins a formula in a spreadsheet, in both widths of East Asian text.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
# Underscores within a word mean nothing in Markdown.
_MARKS = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])")
_LONGEST = 40


def visible(text: str) -> str:
    r"""Returns a text in one line; what cannot be shown is written as `\x1b`.

    Those are control characters, line ends, characters that have no width, and
    halves of characters, which no file can hold.
    """
    return "".join(x if x.isprintable() else _escaped(x) for x in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str) -> str:
    """Returns a text that fits into a picture."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 1]}…"


def for_markdown(text: str) -> str:
    """Returns a text that Markdown shows as it is, in a table too."""
    return _MARKS.sub(r"\\\g<0>", html.escape(visible(text), quote=False))


def for_csv(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    shown = visible(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def slugs(titles: list[str], unnamed: str = "experiment") -> list[str]:
    """Returns a name for the files of each title, all of them different.

    A name has at most 80 small letters, digits and underscores, and what tells
    it from the same name.

    Args:
        titles: The titles.
        unnamed: What a title is called that has no letter or digit.
    """
    found: list[str] = []
    for title in titles:
        words = re.findall("[a-z0-9]+", title.lower())
        name = "_".join(words)[:80].rstrip("_") or unnamed
        number = 2
        slug = name
        while slug in found:
            slug, number = f"{name}_{number}", number + 1
        found.append(slug)
    return found
