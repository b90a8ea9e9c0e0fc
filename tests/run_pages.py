"""Run the Python blocks of the Markdown pages in a folder, each page in a namespace of its own.

python tests/run_pages.py FOLDER
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from unittest import SkipTest

from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

for page in sorted(Path(sys.argv[1]).glob("*.md")):
    print(page.name, flush=True)
    document = Document.parse(str(page), PythonCodeBlockParser(), SkipParser())
    document.namespace.update(__name__="page", find_spec=find_spec)
    for example in document.examples():
        with suppress(SkipTest):
            example.evaluate()
