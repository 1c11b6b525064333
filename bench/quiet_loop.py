"""The floor of idling: what a Python process takes to look at some files once a second.

It lists one directory, asks for the status of each file, and keeps nothing. On machines whose
processor is shared, waking up costs more than what is done then (24 ms a look at 200 files, where
it takes 0.4 ms in a row, was seen): a share of a core alone says more of the machine than of us.
"""

import os
import sys
import time
from typing import Final

LOOK_SECONDS: Final = 1.0


def main() -> None:
    """Look at the files of a directory until killed.

    Arguments: the directory.
    """
    (directory,) = sys.argv[1:]
    while True:
        with os.scandir(directory) as entries:
            for entry in entries:
                entry.stat()
        time.sleep(LOOK_SECONDS)
