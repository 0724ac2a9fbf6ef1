"""Run one target under atheris, or run files through it: ``python -m fuzz TARGET``."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from pathlib import Path

from fuzz.corpus import write_corpus, write_words
from fuzz.modules import others
from fuzz.targets import INSTRUMENTED

ROOT = Path(__file__).parent.parent / ".fuzz"
# Libfuzzer's, each of which an argument may replace.
OPTIONS = {"-max_len": "1024", "-timeout": "20", "-print_final_stats": "1"}


def main(arguments: list[str]) -> None:
    """Fuzz; with names of files, run just these."""
    name, *rest = arguments or [""]
    if name not in INSTRUMENTED:
        sys.exit(
            "usage: python -m fuzz TARGET [-OPTION=VALUE...] [FILE...]\n"
            f"targets: {', '.join(INSTRUMENTED)}"
        )
    # Most deliveries here are refused, and nobody reads why.
    logging.getLogger("port_webhook").setLevel(logging.CRITICAL + 1)
    files = [each for each in rest if not each.startswith("-")]
    if files:
        target = import_module(f"fuzz.targets.{name}")
        for file in files:
            target.run(Path(file).read_bytes())
            print(f"{file}: passed")
        return
    import atheris  # Linux only

    # Nothing before this line may import the library.
    wanted = INSTRUMENTED[name]
    with atheris.instrument_imports(include=[*wanted], exclude=others(wanted)):
        target = import_module(f"fuzz.targets.{name}")
    folder = ROOT / name
    corpus, words = write_corpus(target, folder), write_words(target, folder)
    options = {**OPTIONS, "-dict": f"{words}", "-artifact_prefix": f"{folder}/"}
    options.update(dict(each.split("=", 1) for each in rest))
    listed = [f"{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *listed, f"{corpus}"], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
