"""Coming back in time from what knows no deadline."""

from __future__ import annotations

import threading
import time

import pytest

from vinci_code.core.errors import DeadlineExceededError
from vinci_code.database.deadlines import run_with_deadline


def test_the_result_is_returned() -> None:
    assert run_with_deadline(lambda: 42, 5, "thinking") == 42
    assert run_with_deadline(lambda: None, 5, "thinking") is None


def test_the_error_is_raised() -> None:
    error = ValueError("no")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        run_with_deadline(fail, 5, "thinking")
    assert caught.value is error


def test_the_caller_is_back_by_the_deadline_and_a_late_result_is_disposed_of() -> None:
    go_on, disposed = threading.Event(), threading.Event()
    seen: list[int] = []

    def slow() -> int:
        go_on.wait(10)
        return 7

    def dispose(value: int) -> None:
        seen.append(value)
        disposed.set()

    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"thinking did not finish within 0\.1 s"):
        run_with_deadline(slow, 0.1, "thinking", dispose=dispose)
    assert time.monotonic() - began < 2
    assert seen == []
    go_on.set()
    assert disposed.wait(5)
    assert seen == [7]


def test_what_fails_late_is_nobodys_business() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def slow() -> int:
        go_on.wait(10)
        try:
            raise ValueError("late")
        finally:
            ended.set()

    with pytest.raises(DeadlineExceededError):
        run_with_deadline(slow, 0.05, "thinking")
    go_on.set()
    assert ended.wait(5)


def test_no_time_at_all_is_a_deadline_that_has_passed() -> None:
    with pytest.raises(DeadlineExceededError):
        run_with_deadline(lambda: time.sleep(0.2), -1, "thinking")


def test_the_thread_does_not_keep_the_process_alive() -> None:
    daemon: list[bool] = []
    run_with_deadline(lambda: daemon.append(threading.current_thread().daemon), 5, "thinking")
    assert daemon == [True]
