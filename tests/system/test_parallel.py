"""Work that is shared out among the caller and idle helpers."""

import threading

import pytest

from ssah_tf.system.parallel import parallel


def test_a_caller_works_although_all_helpers_are_busy(monkeypatch):
    monkeypatch.setattr("ssah_tf.system.parallel.cores", lambda: 3)
    go, came = threading.Event(), []

    def blocked(number):
        came.append(number)
        go.wait()
        return number

    others = [threading.Thread(target=parallel, args=(blocked, range(3))) for _ in range(9)]
    for thread in others:
        thread.start()
    try:
        assert parallel(lambda number: number * 2, range(5)) == [0, 2, 4, 6, 8]
    finally:
        go.set()
    for thread in others:
        thread.join()
    assert sorted(came) == sorted([0, 1, 2] * 9)


def test_an_error_of_a_piece_of_work_is_raised(monkeypatch):
    monkeypatch.setattr("ssah_tf.system.parallel.cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        parallel(lambda number: 1 // number, range(9))
    assert parallel(lambda number: number, range(9)) == list(range(9))


def test_one_thread_is_the_callers_own():
    here = threading.get_ident()
    assert parallel(lambda _: threading.get_ident(), range(9), threads=1) == [here] * 9
    assert parallel(lambda _: threading.get_ident(), []) == []
