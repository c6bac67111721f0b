"""Signals: one line and a quick end, noted where a step is done first, ignored ones ignored."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ssah_tf.system.errors import SsahError, Stopped
from ssah_tf.system.signals import StopSignals, Watch, ends_on_signals, raise_if_ending

#: A program in which each case is the block; it says when it is in there.
PROGRAM = """
import os, signal, sys, threading, time
from ssah_tf.system.errors import Stopped
from ssah_tf.system.signals import StopSignals, ends_on_signals, raise_if_ending
def wait():
    print("in", flush=True)
    time.sleep(60)
try:
    with ends_on_signals("go on"):
{block}
except Stopped as error:
    print("caught:", error, flush=True)
    sys.exit(error.exit_code)
"""
WAITS = "        wait()"
#: The main thread is in code of others, and does not wake up for a signal.
STUCK = """
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        threading.Timer(0.5, print, ["in"], dict(flush=True)).start()  # when it sleeps
        time.sleep(60)
"""
NOTED = """
        with StopSignals("one step") as signals:
            print("in", flush=True)
            while signals.received is None:
                time.sleep(0.01)
            print("noted", flush=True)
            time.sleep(60)
"""
#: A loop of other people's code that swallows what a handler raises, and a thread of ours.
SWALLOWED = """
        def loop():
            while True:
                raise_if_ending()
                time.sleep(0.01)
        thread = threading.Thread(target=loop)
        threading.excepthook = lambda args: print("ended:", args.exc_type.__name__, flush=True)
        thread.start()
        try:
            wait()
        except BaseException:
            pass
        thread.join()
        raise OSError("of a thread that was told to end")
"""


def begin(block):
    """The program, when it is in its block."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(block=block)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "in\n"
    return process


def ended(process):
    out, err = process.communicate(timeout=50)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped")]
)
@pytest.mark.parametrize("block", [WAITS, SWALLOWED], ids=["waits", "swallowed"])
def test_a_signal_ends_the_block(block, number, word):
    process = begin(block)
    process.send_signal(number)
    code, out, err = ended(process)
    assert code == 128 + number
    assert out.splitlines()[-1] == f"caught: {word}; go on"
    assert ("ended: KeyboardInterrupt" in out) == (block is SWALLOWED)
    assert err == ""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX")
@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "stopped")]
)
def test_a_signal_ends_a_process_that_is_stuck_in_code_of_others(number, word):
    process = begin(STUCK)
    process.send_signal(number)
    code, out, err = ended(process)
    assert (code, out, err) == (128 + number, "", f"\nssah: {word}; go on\n")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_of_either_kind_ends_at_once(first, second):
    process = begin(NOTED)
    process.send_signal(first)
    assert process.stdout.readline() == "noted\n"
    process.send_signal(second)
    code, _, err = ended(process)
    word = "stopped" if second == signal.SIGTERM else "interrupted"
    assert code == 128 + second
    assert err == f"\nssah: one step; again: at once\n\nssah: {word}; go on\n"


def test_the_innermost_block_says_how():
    with (
        pytest.raises(Stopped, match=r"^interrupted; inner$") as caught,
        ends_on_signals("outer"),
        ends_on_signals("inner"),
    ):
        signal.raise_signal(signal.SIGINT)
    assert caught.value.exit_code == 130
    assert Watch.running is None
    raise_if_ending()  # nothing ends any more


def test_handlers_come_back_and_other_errors_pass():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SsahError, match="of ours"), ends_on_signals("go on"):
        assert signal.getsignal(signal.SIGTERM) != before[1]
        raise SsahError("of ours")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_noted_where_nobody_watches_the_second_does_what_it_does(number, capfd):
    def theirs(*_):
        raise RuntimeError("the handler of before")

    before = signal.signal(number, theirs)
    try:
        with pytest.raises(RuntimeError, match="of before"), StopSignals("one step") as signals:
            assert signals.received is None
            os.kill(os.getpid(), number)
            assert signals.received == number
            assert "one step; again: at once" in capfd.readouterr().err
            os.kill(os.getpid(), number)
        assert signal.getsignal(number) is theirs
    finally:
        signal.signal(number, before)


def test_noted_and_nobody_looked(capfd):
    with pytest.raises(KeyboardInterrupt), StopSignals("one step"):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("block", [lambda: StopSignals("one step"), lambda: ends_on_signals("on")])
def test_ignored_stays_ignored(block):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with block():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("block", [lambda: StopSignals("one step"), lambda: ends_on_signals("on")])
def test_in_another_thread_nothing_is_caught(block):
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with block():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
