"""Makes the first page of the site from the README, as MkDocs builds it."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

README = Path(__file__).parents[1] / "README.md"


def on_files(files: Any, config: Any) -> Any:
    """Adds `index.md`, with the README's links as they are from there."""
    text = README.read_text().replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=text))
    return files
