"""A file's name as text: what is written down has to be UTF-8, and a name need not be."""

import os


def path_text(path: str) -> str:
    r"""The path for records, logs and tables; a byte of it that is no text stands as `\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
