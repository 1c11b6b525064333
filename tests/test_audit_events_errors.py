"""The tree of errors: each comes back whole from another process."""

import copy
import pickle
from pathlib import Path

import pytest

from audit_events import errors

_PROBLEM = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "error",
    [
        errors.EventError("actor", "is missing", "pass actor="),
        errors.CanonicalError("context.x", "is NaN"),
        errors.EventTooLargeError("event", "is too long"),
        errors.ParameterError("strict", "is 1", "True or False"),
        errors.LineError("no JSON"),
        errors.CatalogueError(("a", "b")),
        errors.SinkError(Path("audit.log"), "append to", _PROBLEM, "free space"),
        errors.NotConfiguredError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error: errors.AuditEventError) -> None:
    """Else a pool of processes hangs on it, and a worker's result is another error."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301  # our own
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.hint == error.hint
        assert {name: str(value) for name, value in vars(again).items()} == {
            name: str(value) for name, value in vars(error).items()
        }
