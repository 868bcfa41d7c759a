"""What the page on conversion says of each layer of Keras."""

from pathlib import Path

from tests import layer_table

PAGE = Path(__file__).parents[1] / "docs" / "converting.md"


def test_table_is_that_of_the_code():
    # `python -m tests.layer_table` prints it.
    assert "\n".join(layer_table.table()) in PAGE.read_text()
