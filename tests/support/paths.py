"""Where the checkout's parts are."""

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent.parent
ROOT: Final = TESTS.parent
DOCS: Final = ROOT / "docs"
EXAMPLES: Final = ROOT / "examples"
HELLO: Final = EXAMPLES / "hello.py"
WIRE: Final = TESTS / "data" / "wire.jsonl"
"""Request frames exactly as Kong's client sends them, one JSON object a line."""
