"""Plant one fault after another in a copy of the library: does its target see it?

``python -m fuzz.faults [TARGET...]`` prints a row for each; it needs atheris.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import NamedTuple

__all__ = ["FAULTS", "Fault", "main"]

ROOT = Path(__file__).parent.parent
COPIED = ("src", "fuzz", "tests/fixtures")
RUNS = 60_000
FAILED = 77  # how libFuzzer ends after an exception
_COUNT = re.compile(r"^#([0-9]+)", re.MULTILINE)


class Fault(NamedTuple):
    """A change of one place.

    Attributes:
        target: The target that must see it.
        file: The file within the package.
        meaning: The rule that is broken.
        old: The text that is there once, or first.
        new: What stands in its place.
    """

    target: str
    file: str
    meaning: str
    old: str
    new: str


FAULTS = (
    Fault(
        "headers",
        "_signature.py",
        "a second spelling of a signature's last digit is accepted",
        "and listed[-2] in _LAST_DIGITS",
        "and True",
    ),
    Fault(
        "headers",
        "_signature.py",
        "a timestamp may begin with 0",
        "and stamp[0] != _ZERO",
        "and True",
    ),
    Fault(
        "headers",
        "_signature.py",
        "a second timestamp header is ignored",
        "elif name in _NAMES and value is not None:",
        "elif name == SIGNATURE_HEADER and value is not None:",
    ),
    Fault(
        "headers",
        "_signature.py",
        "nine signatures may be listed",
        "MAX_SIGNATURES = 8",
        "MAX_SIGNATURES = 9",
    ),
    Fault(
        "canonical",
        "_json.py",
        "escaped quotes are told apart before escaped backslashes",
        'data = data.replace(b"\\\\\\\\", _BACKSLASH).replace(b\'\\\\"\', _QUOTE)',
        'data = data.replace(b\'\\\\"\', _QUOTE).replace(b"\\\\\\\\", _BACKSLASH)',
    ),
    Fault(
        "canonical",
        "_json.py",
        "a form feed counts as white space",
        'outside.translate(None, b" \\t\\n\\r")',
        'outside.translate(None, b" \\t\\n\\r\\x0c")',
    ),
    Fault(
        "canonical",
        "_json.py",
        "repeated keys are accepted",
        "if len(members) != len(pairs):",
        "if False:",
    ),
    Fault(
        "canonical",
        "_json.py",
        "the comma before a member that is left out stays",
        "kept.append(self.text[at : self.end - 1].strip(_BETWEEN))",
        "kept.append(self.text[at : self.end - 1].strip())",
    ),
    Fault(
        "node",
        "_json.py",
        "lone surrogates become question marks",
        '"backslashreplace"',
        '"replace"',
    ),
    Fault(
        "node",
        "_json.py",
        "strings are not printed as JavaScript does",
        "if escaped:\n        strings",
        "if False:\n        strings",
    ),
    Fault(
        "kafka",
        "_kafka_message.py",
        "GitLab's rule is never applied",
        '== "GITLAB"',
        '== "gitlab"',
    ),
    Fault(
        "kafka",
        "_json.py",
        "keys are compared with their escapes",
        'if "\\\\" in key:',
        "if False:",
    ),
    Fault(
        "kafka",
        "_kafka_message.py",
        "a header in the message may be any JSON",
        "value is None or isinstance(value, str) else False",
        "True else False",
    ),
    Fault(
        "models",
        "_run_id.py",
        "a run id may be anything",
        "if found and isinstance(found, str):",
        "if found:",
    ),
    Fault(
        "models",
        "models/_base.py",
        "a time that is none escapes as a ValueError",
        "except (TypeError, ValueError):\n            found = None",
        "except TypeError:\n            found = None",
    ),
    Fault(
        "models",
        "models/_base.py",
        "`to_dict` copies one level only",
        "deepcopy(raw_of(self))",
        "raw_of(self).copy() if type(raw_of(self)) is dict else raw_of(self)",
    ),
    Fault(
        "decryption",
        "decryption.py",
        "a second base64 spelling of a ciphertext is decrypted",
        "if b2a_base64(raw, newline=False) != text:",
        "if False:",
    ),
    Fault(
        "decryption",
        "decryption.py",
        "a plaintext that is not UTF-8 escapes as a UnicodeDecodeError",
        "except (PayloadError, UnicodeDecodeError):",
        "except PayloadError:",
    ),
    Fault(
        "decryption",
        "decryption.py",
        "`plaintext=` is ignored",
        "if place not in done and",
        "if",
    ),
    Fault(
        "decryption",
        "decryption.py",
        "the caller's body is changed",
        'return deepcopy(cast("Any", invocation))',
        'return cast("Any", invocation)',
    ),
    Fault(
        "aws_lambda",
        "adapters/aws_lambda/_event.py",
        "a second base64 spelling of a body is accepted",
        'if body is None or b2a_base64(body, newline=False) != text.encode("ascii"):',
        "if body is None:",
    ),
    Fault(
        "aws_lambda",
        "adapters/aws_lambda/_event.py",
        "`isBase64Encoded` may be 0 or an empty text",
        "if self._is_base64 is None or self._is_base64 is False:",
        "if not self._is_base64:",
    ),
    Fault(
        "aws_lambda",
        "adapters/aws_lambda/_event.py",
        "a REST API's headers count twice",
        "if pair in unmatched:",
        "if False:",
    ),
    Fault(
        "paths",
        "integration/_paths.py",
        "case is folded as ASCII has it",
        'return text.upper().casefold().replace("i\\u0307", "i")',
        "return text.casefold()",
    ),
    Fault(
        "paths",
        "integration/_paths.py",
        "a prefix must begin the path",
        "each.endswith(wanted[0]) for each in found",
        "False for each in found",
    ),
    Fault(
        "paths",
        "integration/_paths.py",
        "`exclude=` looks at the decoded path alone",
        "return not forms <= self._excluded",
        "return path not in self._excluded",
    ),
    Fault(
        "curl",
        "devtools/_captures/_curl.py",
        "escapes in double quotes stay",
        'return _DOUBLE.sub(lambda each: each[1] or "", found["double"])',
        'return found["double"]',
    ),
    Fault(
        "curl",
        "devtools/_captures/_curl.py",
        "a code point beyond Unicode escapes as a ValueError",
        "if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:",
        "if number > 0x10FFFFF:",
    ),
    Fault(
        "har",
        "devtools/_captures/_json.py",
        "a time that is none escapes as a ValueError",
        "except ValueError:\n            moment = None",
        "except TypeError:\n            moment = None",
    ),
    Fault(
        "har",
        "devtools/_captures/_json.py",
        "a file that is nested too deep escapes as a RecursionError",
        "except (ValueError, RecursionError):",
        "except ValueError:",
    ),
    Fault(
        "har",
        "devtools/_captures/_json.py",
        "a HAR entry that is no object escapes as an AttributeError",
        "if not isinstance(value, dict):\n        return default",
        "if value is None:\n        return default",
    ),
    Fault(
        "http",
        "devtools/_captures/_http.py",
        "of CRLF behind a chunk, the LF stays",
        "at = at if end is None else end.end()",
        "at = at if end is None else end.start() + 1",
    ),
    Fault(
        "http",
        "devtools/_captures/_http.py",
        "a byte behind the body is taken in",
        "else body[:end]",
        "else body[: end + 1]",
    ),
    Fault(
        "http",
        "devtools/_captures/_http.py",
        "chunks that break off are joined",
        'raise _broken(f"chunk {number} lacks',
        'return b"".join(parts)\n            raise _broken(f"chunk {number} lacks',
    ),
    Fault(
        "explain",
        "devtools/_explain.py",
        "a signed body that begins like gzip is called cut",
        "if found.causes:",
        "if True:",
    ),
)


def main(names: list[str]) -> int:
    """Print what became of each fault; return 1 if one was not seen."""
    missed = 0
    for fault in FAULTS:
        if not names or fault.target in names:
            seen = _try(fault)
            missed += seen is None
            words = "not seen" if seen is None else seen
            print(f"| `{fault.target}` | {fault.meaning} | {words} |", flush=True)
    return int(missed > 0)


def _try(fault: Fault) -> str | None:
    """Say after how many executions the target failed; None if it did not."""
    with TemporaryDirectory() as folder:
        for name in COPIED:
            copytree(ROOT / name, Path(folder, name))
        file = Path(folder, "src", "port_webhook", fault.file)
        text = file.read_text(encoding="utf-8")
        if fault.old not in text:
            sys.exit(f"{fault.file} does not hold {fault.old!r}")
        file.write_text(text.replace(fault.old, fault.new, 1), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "fuzz", fault.target, f"-runs={RUNS}", "-seed=7"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{Path(folder, 'src')}"},
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
        )
    if done.returncode == 0:
        return None
    if done.returncode != FAILED:
        sys.exit(done.stderr)
    counts = _COUNT.findall(done.stderr)
    return f"{counts[-1]} executions" if counts else "a seed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
