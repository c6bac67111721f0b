"""Signals are noted once, ignored ones stay ignored, handlers come back."""

import os
import signal
import threading

import pytest

from ssah_tf.training.signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_is_noted_second_does_what_it_does(number, capfd):
    def theirs(*_):
        raise RuntimeError("the handler of before")

    before = signal.signal(number, theirs)
    try:
        with StopSignals() as signals:
            assert signals.received is None
            os.kill(os.getpid(), number)
            assert signals.received == number
            assert "after this batch" in capfd.readouterr().err
            with pytest.raises(RuntimeError, match="of before"):
                os.kill(os.getpid(), number)
        assert signal.getsignal(number) is theirs
    finally:
        signal.signal(number, before)


def test_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_is_caught():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with StopSignals() as signals:
            seen.append((signal.getsignal(signal.SIGINT), signals.before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, {})]
