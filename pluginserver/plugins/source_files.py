"""The files that a plugin's code is in: its own, and those beside it that they import.

Rules kept here:

* it is found out from the source, without running it, so that it is the same wherever the plugin runs;
* a file that cannot be read or parsed counts, with no imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .loader import INIT, main_file
from .syntax import Import, look


def source_files(path: Path) -> list[Path]:
    """The files of a plugin, its main file first.

    :param path: its file, or its package's directory.
    """
    package = sorted(path.rglob("*.py")) if path.is_dir() else []
    found = dict.fromkeys([main_file(path), *package])
    waiting = list(found)
    while waiting:
        file = waiting.pop(0)
        seen = look(file)
        for one in seen.imports if seen is not None else ():
            for beside in _beside(one, file, path.parent):
                if beside not in found:
                    found[beside] = None
                    waiting.append(beside)
    return list(found)


def digest(path: Path) -> str:
    """The SHA-256 of a plugin's files and their names, in hexadecimal.

    :param path: its file, or its package's directory.
    :raises OSError: when a file cannot be read.
    """
    import hashlib  # here, because what Kong asks for at its start has no use for it

    whole = hashlib.sha256()
    files = {file.relative_to(path.parent).as_posix(): file for file in source_files(path)}
    for name, file in sorted(files.items()):
        whole.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _beside(one: Import, file: Path, directory: Path) -> Iterator[Path]:
    """The files in a directory, or below it, that an import may lead to."""
    base = directory
    if one.level:
        base = file.parents[one.level - 1] if one.level <= len(file.parents) else directory
        if directory not in (base, *base.parents):
            return
    parts = one.module.split(".") if one.module else []
    places = [base.joinpath(*parts[:number]) for number in range(1, len(parts) + 1)]
    places += [base.joinpath(*parts, name) for name in one.names if name != "*"]
    for place in places:
        for candidate in (place.with_name(f"{place.name}.py"), place / INIT):
            if candidate.is_file():
                yield candidate
