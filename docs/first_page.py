"""Adds the pages that lie outside of `docs/` to the site of MkDocs."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
# Where they are in the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks/README.md": "benchmarks/README.md",
}


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages, with links as they are from the top of the site."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text()
        text = text.replace("](docs/", "](").replace("](../docs/", "](../")
        # Scripts are no pages.
        text = re.sub(r"\[([^]]+)\]\((examples/[^)]+)\)", r"\1 (`\2`)", text)
        files.append(File.generated(config, page, content=text))
    return files
