"""Write what a run begins with: the seeds of a target, and libfuzzer's dictionary."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_corpus", "write_words"]


def write_corpus(target: Any, folder: Path) -> Path:
    """Add the seeds of *target* to its corpus, and return where that is."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / sha256(seed).hexdigest()[:40]).write_bytes(seed)
    return corpus


def write_words(target: Any, folder: Path) -> Path:
    """Write the words of *target* as libfuzzer reads them."""
    lines = [
        '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in target.WORDS
    ]
    words = folder / "words.dict"
    words.write_text("\n".join(lines) + "\n", encoding="ascii")
    return words
