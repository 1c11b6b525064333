"""The body of a refusal: whoever reads it alone, as of curl, learns what the headers say."""

import pytest

from webapi.errors import InternalError, LimitError, ProblemError, UnavailableError
from webapi.problems import problem_of


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LimitError("list", 60, 7), "(list); try again in 7 seconds"),
        (LimitError("list", 60, 1), "(list); try again in 1 second"),
        (
            UnavailableError("export_busy", "x", retry_after_seconds=30),
            "x; try again in 30 seconds",
        ),
    ],
    ids=["429", "one second", "503"],
)
def test_a_refusal_that_passes_says_after_how_many_seconds(error: ProblemError, told: str) -> None:
    assert problem_of(error).detail.endswith(told)


def test_a_refusal_that_stays_names_no_time() -> None:
    assert "seconds" not in problem_of(InternalError("x")).detail
