import csv
import io

import pytest

from dsr_tf.reports.tables import Table
from dsr_tf.reports.texts import for_csv
from dsr_tf.reports.texts import for_markdown
from dsr_tf.reports.texts import shortened
from dsr_tf.reports.texts import slugs
from dsr_tf.reports.texts import visible

PLAIN = ["97.80 ± 0.26", "prune_across_tensors=true", "Ünï 日本 𝄞", "-0.5 (a)"]


@pytest.mark.parametrize("text", PLAIN)
def test_what_can_be_shown_stays(text):
    assert visible(text) == text and shortened(text) == text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[2J\x00\x7f\x9b", r"\x1b[2J\x00\x7f\x9b"),
        ("\ud800", r"\ud800"),
        # From right to left, an end of line, no width.
        ("\u202ea\u2028b\u200b", r"\u202ea\u2028b\u200b"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_shown_is_spelt(text, shown):
    assert visible(text) == shown
    assert for_csv(text) == shown


@pytest.mark.parametrize(
    "text, escaped",
    [
        *((text, text) for text in PLAIN),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("a|b\nc", r"a\|b\\nc"),
        ("![x](y) `z` **b** ~~c~~", None),
        ("_a_ a_b __init__ _", r"\_a\_ a_b \_\_init\_\_ \_"),
        ("$x$ # y", r"\$x\$ \# y"),
        ("[red]", r"\[red\]"),
    ],
)
def test_markdown_is_escaped(text, escaped):
    found = for_markdown(text)
    if escaped is None:
        bare = [x for x in "[]`*~" if x in found.replace(f"\\{x}", "")]
        assert bare == []
    else:
        assert found == escaped


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_a_cell_is_no_formula(first):
    assert for_csv(f"{first}1+1") == f"'{first}1+1"
    assert for_csv(f"a{first}1") == f"a{first}1"
    assert not for_csv(f"\t{first}1").startswith(("\t", first))


def test_tables_escape_texts_and_leave_numbers():
    values = [["=1+1", -1, -0.5, None, "-1", 'a,"b'], ["@x", 2, 0, 3, "", "\r"]]
    shown = [[str(x) for x in row] for row in values]
    columns = tuple((name, False) for name in "abcdef")
    table = Table("x", "A | <b>", columns, shown, tuple("abcdef"), values)
    rows = list(csv.reader(io.StringIO(table.to_csv())))[1:]
    assert rows == [
        ["'=1+1", "-1", "-0.5", "", "'-1", 'a,"b'],
        ["'@x", "2", "0", "3", "", r"\r"],
    ]
    lines = table.to_markdown().splitlines()
    assert lines[0] == r"## A \| &lt;b&gt;"
    assert all(line.count("|") == 7 for line in lines[2:])


def test_slugs_are_short_and_all_different():
    titles = ["MNIST, LeNet-300-100", "mnist lenet/300/100", "日本", "«»"]
    titles += ["mnist_lenet_300_100_2", "é" * 300 + "a" * 300, "a" * 301]
    found = slugs(titles)
    assert found[:2] == ["mnist_lenet_300_100", "mnist_lenet_300_100_2"]
    assert found[2:4] == ["experiment", "experiment_2"]
    assert len(set(found)) == len(titles) and max(map(len, found)) <= 82
    assert slugs(["imagenet_resized/8x8, WRN"]) == ["imagenet_resized_8x8_wrn"]


def test_long_names_are_cut_in_pictures():
    assert shortened("a" * 41) == "a" * 39 + "…"
