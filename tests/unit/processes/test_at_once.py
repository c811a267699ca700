import signal
import subprocess
import sys
import threading
import time

import pytest

from weighbridge.processes.at_once import at_once


def test_answers_come_in_the_items_order_from_no_more_threads_than_wanted() -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def call(item: int) -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05 - item / 200)
        with lock:
            busy -= 1
        return item * 2

    assert at_once(call, range(8), 3) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert 1 < most <= 3
    assert at_once(call, [], 3) == []


def test_the_first_items_error_is_raised_once_all_are_over() -> None:
    over: list[int] = []

    def call(item: int) -> None:
        time.sleep(0.02 * (4 - item))
        over.append(item)
        if item:
            raise ValueError(item)

    with pytest.raises(ValueError, match="1"):
        at_once(call, range(4), 4)
    assert sorted(over) == [0, 1, 2, 3]


def test_an_interruption_waits_for_none() -> None:
    """In a process of its own: where tests run side by side, theirs are deaf to Ctrl-C."""
    code = (
        "import signal, threading, time; from weighbridge.processes.at_once import at_once\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "threading.Timer(0.2, lambda: print('at work', flush=True)).start()\n"
        "at_once(lambda _: time.sleep(60), range(2), 2)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"at work\n"
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert b"KeyboardInterrupt" in err
