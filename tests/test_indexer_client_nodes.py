"""Several nodes: which one is asked, and when another is."""

import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

import pytest

from indexer import deadline
from indexer.client import Reply, ask, connect
from indexer.errors import NoAnswerError
from indexer.nodes import LEFT_OUT_SECONDS
from indexer.settings import ConnectionSettings

CUT: Final = b""
SILENT: Final[bytes | None] = None


class Clock:
    """Stands in for `time` where nodes are left out: a slow machine ends no such time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stand_in = Clock()
    monkeypatch.setattr("indexer.nodes.time", stand_in)
    return stand_in


class OneNode:
    """Answers each connection in one way, and counts them; refuses when it is closed."""

    def __init__(self, answer: bytes | None) -> None:
        self.asked = 0
        self.answer = answer
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._server.accept()
            with connection:
                if self._over.is_set():
                    return
                if not connection.recv(65_536):
                    continue
                self.asked += 1
                if self.answer is None:
                    self._over.wait(60)
                else:
                    connection.sendall(self.answer)

    def close(self) -> None:
        if self._server.fileno() < 0:
            return
        self._over.set()
        socket.create_connection(self._server.getsockname()).close()
        self._thread.join(60)
        self._server.close()


def says(status: int) -> bytes:
    return f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


@contextmanager
def nodes(*answers: bytes | None) -> Generator[list[OneNode]]:
    with ExitStack() as stack:
        made = [OneNode(answer) for answer in answers]
        for one in made:
            stack.callback(one.close)
        yield made


def ask_all(
    made: list[OneNode],
    *,
    method: str = "POST",
    safe: bool = False,
    times: int = 1,
    timeout_seconds: float = 60,
) -> list[int | NoAnswerError]:
    """Ask one after the other; the status of each answer, or why there is none."""
    urls = ",".join(one.url for one in made)
    settings = ConnectionSettings(url=urls, timeout_seconds=timeout_seconds)
    found: list[int | NoAnswerError] = []
    with connect(settings, role="reader") as client:
        for _ in range(times):
            try:
                reply: Reply = ask(client, method, "/", body=b"x", safe=safe)
            except NoAnswerError as error:
                found.append(error)
            else:
                found.append(reply.status)
    return found


def test_each_node_has_its_turn() -> None:
    with nodes(says(200), says(200)) as made:
        assert ask_all(made, times=4) == [200] * 4
        assert [one.asked for one in made] == [2, 2]


@pytest.mark.parametrize("safe", [True, False])
def test_a_node_that_is_gone_costs_no_request(safe: bool) -> None:  # noqa: FBT001  # a table
    """Nothing was sent to it, so whatever it was can be sent to another."""
    with nodes(says(200), says(200)) as made:
        made[0].close()
        assert ask_all(made, times=6, safe=safe) == [200] * 6
        assert made[1].asked == 6


@pytest.mark.parametrize("answer", [CUT, says(502), says(503), says(504)])
@pytest.mark.parametrize(("method", "safe"), [("GET", False), ("HEAD", False), ("POST", True)])
def test_a_question_is_asked_of_another_node(answer: bytes, method: str, safe: bool) -> None:  # noqa: FBT001  # a table
    """A node that starts answers 503 for seconds; it is left out for a while."""
    with nodes(answer, says(200)) as made:
        assert ask_all(made, method=method, safe=safe, times=6) == [200] * 6
        assert made[0].asked <= 1


@pytest.mark.parametrize("answer", [CUT, says(503)])
def test_what_may_have_been_done_is_not_sent_again_here(answer: bytes) -> None:
    """The writer decides on that; its next request goes to another node."""
    with nodes(answer, says(200)) as made:
        found = ask_all(made, times=6)
        assert found.count(200) == 5
        assert made[0].asked == 1


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 429, 500])
def test_any_other_answer_is_the_clusters(status: int) -> None:
    with nodes(says(status), says(status), says(status)) as made:
        assert ask_all(made, safe=True) == [status]
        assert sum(one.asked for one in made) == 1


def test_each_node_is_asked_once_at_most() -> None:
    with nodes(says(503), says(503), says(503)) as made:
        assert ask_all(made, safe=True) == [503]
        assert [one.asked for one in made] == [1, 1, 1]
        for one in made:
            one.close()
        (found,) = ask_all(made)
    assert isinstance(found, NoAnswerError)
    assert not found.sent


@pytest.mark.parametrize("living", [0, 1, 2])
def test_what_one_says_counts_more_than_that_others_are_away(living: int) -> None:
    with nodes(says(503), says(503), says(503)) as made:
        for number, one in enumerate(made):
            if number != living:
                one.close()
        assert ask_all(made, safe=True) == [503]


@pytest.mark.slow
def test_who_waited_for_one_node_does_not_wait_for_another() -> None:
    with nodes(SILENT, SILENT) as made:
        (found,) = ask_all(made, safe=True, timeout_seconds=0.5)
        assert isinstance(found, NoAnswerError)
        assert str(found).endswith("timed out")
        assert sum(one.asked for one in made) == 1


@pytest.mark.slow
def test_a_node_that_was_silent_is_tried_by_one_alone(clock: Clock) -> None:
    """The others would wait for it as long as the first: all of them, whenever its time is over."""
    at_once = 8
    together = threading.Barrier(at_once)
    with nodes(SILENT, says(200)) as made:
        settings = ConnectionSettings(url=",".join(one.url for one in made), timeout_seconds=3)
        with connect(settings, role="reader") as client, ThreadPoolExecutor(at_once) as pool:

            def fails() -> bool:
                try:
                    ask(client, "POST", "/", safe=True)
                except NoAnswerError:
                    return True
                return False

            def fail_in_turn() -> int:
                together.wait(60)
                return sum(fails() for _ in made)

            assert sum(fails() for _ in made) == 1
            clock.now += LEFT_OUT_SECONDS
            found = [pool.submit(fail_in_turn) for _ in range(at_once)]
            assert sum(one.result() for one in found) == 1


@pytest.mark.slow
def test_a_node_that_answers_again_has_its_turn_again(clock: Clock) -> None:
    with nodes(says(503), says(200)) as made:
        settings = ConnectionSettings(url=",".join(one.url for one in made))
        with connect(settings, role="reader") as client:
            for _ in made:
                assert ask(client, "GET", "/").status == 200
            assert made[0].asked == 1
            made[0].answer = says(200)
            clock.now += LEFT_OUT_SECONDS
            before = [one.asked for one in made]
            assert [ask(client, "GET", "/").status for _ in range(4)] == [200] * 4
            assert [one.asked for one in made] == [number + 2 for number in before]


def test_where_all_had_failed_another_is_asked_when_one_fails_again() -> None:
    """All of them say 503 while the first copy of a partition starts."""
    with nodes(says(503), says(503), says(503)) as made:
        settings = ConnectionSettings(url=",".join(one.url for one in made))
        with connect(settings, role="reader") as client:
            for _ in range(3):
                assert ask(client, "GET", "/").status == 503
            for one in made:
                one.answer = says(200)
            for bad in made:
                bad.answer = says(503)
                assert [ask(client, "GET", "/").status for _ in range(4)] == [200] * 4
                bad.answer = says(200)


def test_a_host_that_is_gone_without_a_word_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadline, "CONNECT_SECONDS", 0.1)
    with socket.socket() as full, ExitStack() as stack, nodes(says(200)) as made:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # The next to connect gets no word, as from a host without power.
        stack.enter_context(socket.create_connection(full.getsockname()))
        urls = f"http://127.0.0.1:{full.getsockname()[1]},{made[0].url}"
        settings = ConnectionSettings(url=urls, timeout_seconds=60)
        with connect(settings, role="writer") as client:
            assert [ask(client, "POST", "/").status for _ in range(3)] == [200] * 3
        assert made[0].asked == 3


def test_a_node_that_fails_puts_no_text_among_json_lines() -> None:
    code = (
        "from indexer.client import ask, connect\n"
        "from indexer.errors import NoAnswerError\n"
        "from indexer.settings import ConnectionSettings\n"
        "settings = ConnectionSettings(url='http://127.0.0.1:1,http://127.0.0.1:2')\n"
        "try:\n"
        "    ask(connect(settings, role='writer'), 'GET', '/')\n"
        "except NoAnswerError:\n"
        "    print('no answer')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("no answer\n", "")
