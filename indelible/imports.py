"""Two libraries imported without what they bring along and we never use: 9 MB less in every agent.

structlog takes rich for coloured tracebacks wherever it is installed (4 MB); our logs are JSON.
opensearch-py imports requests for a connection and a signer of its own (5 MB); ours is by urllib3.
Neither has another way to say so. What is put in their place is there during that one import
only: whoever wants rich or requests afterwards gets the real one.
"""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Final, cast

_STRUCTLOG: Final = "structlog"
_OPENSEARCH: Final = "opensearchpy"


def import_structlog() -> None:
    """Import structlog as if rich were not installed, unless either is there already."""
    if _STRUCTLOG not in sys.modules:
        # An import of what is None here fails (the language's reference, "The module cache").
        with _in_place_of("rich", None):
            importlib.import_module(_STRUCTLOG)


def import_opensearch() -> None:
    """Import opensearch-py with an empty requests, unless either is there already.

    A version of it that needs more of requests at its import gets the real one.
    """
    if _OPENSEARCH in sys.modules:
        return
    try:
        with _in_place_of("requests", _empty_requests()):
            importlib.import_module(_OPENSEARCH)
    except (ImportError, AttributeError, TypeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == _OPENSEARCH]:
            del sys.modules[name]
        importlib.import_module(_OPENSEARCH)


@contextmanager
def _in_place_of(name: str, substitute: ModuleType | None) -> Generator[None]:
    if name in sys.modules:
        yield
        return
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules[name] = substitute
    try:
        yield
    finally:
        del modules[name]


def _empty_requests() -> ModuleType:
    module = ModuleType("requests")
    vars(module)["auth"] = SimpleNamespace(AuthBase=object)
    return module
