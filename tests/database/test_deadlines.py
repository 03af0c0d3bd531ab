"""Coming back in time from what knows no deadline."""

from __future__ import annotations

import threading

import pytest

from tests.patience import FOR_LONG_S, PATIENCE_S, soon
from vinci_code.core.errors import DeadlineExceededError
from vinci_code.database.deadlines import run_with_deadline


def test_the_result_is_returned() -> None:
    assert run_with_deadline(lambda: 42, PATIENCE_S, "thinking") == 42
    assert run_with_deadline(lambda: None, PATIENCE_S, "thinking") is None


def test_the_error_is_raised() -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        run_with_deadline(fail, PATIENCE_S, "thinking")
    assert caught.value is error


def test_the_caller_is_back_by_the_deadline() -> None:
    go_on = threading.Event()
    late = pytest.raises(DeadlineExceededError, match=r"thinking did not finish within 0\.1 s")
    with soon(), late:
        run_with_deadline(lambda: go_on.wait(FOR_LONG_S), 0.1, "thinking")
    go_on.set()


def test_what_fails_late_is_nobodys_business() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> int:
        go_on.wait(FOR_LONG_S)
        try:
            raise ValueError("late")
        finally:
            ended.set()

    with pytest.raises(DeadlineExceededError):
        run_with_deadline(slow, 0.05, "thinking")
    go_on.set()
    assert ended.wait(PATIENCE_S)


def test_no_time_at_all_is_a_deadline_that_has_passed() -> None:
    go_on = threading.Event()
    with soon(), pytest.raises(DeadlineExceededError):
        run_with_deadline(lambda: go_on.wait(FOR_LONG_S), -1, "thinking")
    go_on.set()


def test_the_thread_does_not_keep_the_process_alive() -> None:
    daemon: list[bool] = []

    def think() -> None:
        daemon.append(threading.current_thread().daemon)

    run_with_deadline(think, PATIENCE_S, "thinking")
    assert daemon == [True]
