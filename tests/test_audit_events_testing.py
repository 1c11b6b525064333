"""The plugin of pytest, in runs of pytest of their own: the fixture, isolation, the check."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import structlog

from audit_events.process_log import PROCESS_LOG

pytest_plugins = ["pytester"]

_ROOT = Path(__file__).parent.parent
_APPLICATION = """
import audit_events
import structlog

log = audit_events.get_logger().bind(organization_id="org_acme")


def create_application(path="/proc/no/such/audit.log"):
    audit_events.configure(path, service="members")


def change_role(role, action="member.role_changed"):
    structlog.contextvars.bind_contextvars(actor={"type": "user", "id": "u_1"})
    log.info(action, context={"previous": {"role": "member"}, "new": {"role": role}},
             target_user={"id": "u_2"})
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator["Run"]:
    """Runs pytest on a test module beside the application above."""
    monkeypatch.setenv("PYTHONPATH", f"{_ROOT}")
    monkeypatch.setattr(PROCESS_LOG, "log", None)
    monkeypatch.setattr(PROCESS_LOG, "arguments", None)
    pytester.makepyfile(members=_APPLICATION)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = error\naddopts = --strict-markers")
    yield Run(pytester)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


class Run:
    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, tests: str, *arguments: str) -> pytest.RunResult:
        """Run in this process: quicker, and nested in a run that may have the plugin itself."""
        return self.pytester.runpytest_inprocess(*self.arguments(tests), *arguments)

    def arguments(self, tests: str, *, plugin: bool = True) -> list[str]:
        head = "from members import *\nimport pytest\n"
        self.pytester.makepyfile(test_members=head + dedent(tests))
        loaded = ["-p", "audit_events.testing"] if plugin else []
        return [*loaded, "-p", "no:cacheprovider"]


@pytest.mark.slow
def test_the_fixture_records_what_the_application_does(run: Run) -> None:
    """Before and after `configure()`, by a logger that was taken at import."""
    result = run("""
        def test_without_configure(audit_log):
            change_role("admin")
            assert audit_log.one("member.role_changed").context["new"]["role"] == "admin"
            assert audit_log.one().source.service == "tests"

        def test_with_configure(audit_log):
            create_application()
            change_role("owner")
            event = audit_log.one("member.role_changed")
            assert (event.context["new"]["role"], event.source.service) == ("owner", "members")

        def test_nothing_is_left_of_the_others(audit_log, tmp_path):
            audit_log.none()
            assert "actor" not in structlog.contextvars.get_contextvars()
            assert list(tmp_path.iterdir()) == []
            with pytest.raises(audit_events.EventError, match="actor"):
                log.info("member.invited")
        """)
    result.assert_outcomes(passed=3)


def test_what_is_configured_outside_of_the_tests_comes_back(run: Run) -> None:
    result = run("""
        @pytest.fixture(scope="session", autouse=True)
        def application(tmp_path_factory):
            path = tmp_path_factory.mktemp("session") / "audit.log"
            create_application(path)
            return path

        def test_recorded(audit_log, application):
            change_role("admin")
            assert audit_log.one().source.service == "members"
            assert not application.read_bytes()

        def test_not_recorded(application):
            change_role("admin")
            assert len(application.read_bytes().splitlines()) == 1
        """)
    result.assert_outcomes(passed=2)


def test_a_failure_lists_what_was_recorded(run: Run) -> None:
    result = run("""
        def test_role(audit_log):
            change_role("admin")
            audit_log.one("member.invited")
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*audit_log.one(?member.invited?)",
            "E*expected one member.invited, found 0 of 1 recorded*",
            'E*member.role_changed *actor={"id":"u_1","type":"user"}*"role":"admin"*',
        ]
    )
    assert "recording.py" not in result.stdout.str(), "the library's own frames are hidden"


_UNKNOWN = """
        def test_misspelt(audit_log):
            for _ in range(2):
                change_role("admin", "member.role_chnged")

        def test_without_the_fixture(tmp_path):
            create_application(tmp_path / "audit.log")
            change_role("admin", "org.renamed_twice")

        def test_known(audit_log):
            change_role("admin")
        """


def test_a_test_that_leaves_an_unknown_action_fails(run: Run) -> None:
    result = run(_UNKNOWN)
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_misspelt*",
            "this test recorded actions that are in no catalogue:",
            "  member.role_chnged at */members.py:13, 2 times; did you mean member.role_changed*",
            "*@pytest.mark.unknown_audit_actions*audit_events_unknown_actions = ignore*",
            "*ERROR at teardown of test_without_the_fixture*",
            "  org.renamed_twice at */members.py:13*",
        ]
    )


def test_the_check_can_be_switched_off(run: Run) -> None:
    run(_UNKNOWN, "-o", "audit_events_unknown_actions=ignore").assert_outcomes(passed=3)
    marked = "pytestmark = pytest.mark.unknown_audit_actions\n" + dedent(_UNKNOWN)
    run(marked).assert_outcomes(passed=3)
    wrong = run(_UNKNOWN, "-o", "audit_events_unknown_actions=off")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(["*is 'off': expected error or ignore*"])


def test_an_action_of_the_application_s_own_catalogue_is_known(run: Run) -> None:
    run.pytester.path.joinpath("catalogue.toml").write_text(
        '[invoice.sent]\ncategory = "Billing"\ncolour = "green"\n'
        'title = "Invoice sent"\ndescription = "An invoice went out."\n'
    )
    result = run("""
        def test_own(audit_log):
            audit_events.configure("audit.log", service="s", catalogue_path="catalogue.toml")
            change_role("admin", "invoice.sent")
        """)
    result.assert_outcomes(passed=1)


def test_a_refused_unknown_action_is_no_finding(run: Run) -> None:
    """In a strict log the call has told it already."""
    result = run("""
        def test_strict(audit_log):
            audit_events.configure("audit.log", service="s", strict=True)
            with pytest.raises(audit_events.EventError, match="member.role_changed"):
                change_role("admin", "member.role_chnged")
        """)
    result.assert_outcomes(passed=1)


def test_the_call_is_named_through_standard_logging_threads_and_coroutines(run: Run) -> None:
    result = run("""
        import asyncio, threading
        from audit_events.integrations.standard_logging import attach

        def test_places(audit_log):
            fields = {"organization_id": "o", "actor": {"type": "system"}}
            attach("audit").info("made.up_one", extra=fields)
            thread = threading.Thread(target=lambda: log.info("made.up_two", **fields))
            thread.start()
            thread.join()
            asyncio.run(log.ainfo("made.up_three", **fields))
        """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines_random(
        [
            r"  made\.up_one at .*test_members\.py:\d+",
            r"  made\.up_two at .*test_members\.py:\d+",
            r"  made\.up_three at .*",
        ]
    )


def test_capture_logs_sees_audit_events(run: Run) -> None:
    result = run("""
        from structlog.testing import capture_logs

        def test_captured():
            with capture_logs() as entries:
                change_role("admin")
            assert [entry["event"] for entry in entries] == ["member.role_changed"]
        """)
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_it_may_be_named_once_more_in_a_conftest(run: Run) -> None:
    run.pytester.makeconftest('pytest_plugins = ["audit_events.testing"]')
    tests = "def test_it(audit_log):\n    change_role('admin')\n    assert len(audit_log) == 1"
    for plugin in (True, False):
        arguments = run.arguments(tests, plugin=plugin)
        run.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=1)


@pytest.mark.slow
def test_runs_side_by_side_do_not_mix(run: Run) -> None:
    """As the workers of pytest-xdist: processes of their own."""
    run.arguments("""
        def test_once_more(audit_log):
            for _ in range(50):
                change_role("admin")
            assert len(audit_log) == 50
        """)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "audit_events.testing",
        "-p",
        "no:cacheprovider",
    ]
    runs = [subprocess.Popen(command, cwd=run.pytester.path) for _ in range(2)]
    assert [one.wait(60) for one in runs] == [0, 0]
