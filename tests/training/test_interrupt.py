"""Tests that the processes of a run agree on the call in which they stop."""

import threading
import time
import types

import pytest

from dfjax import processes
from dfjax.training import interrupt as interrupts
from dfjax.training.interrupt import Interrupt, Stopped, run_interruptible


def test_one_process_stops_at_once():
    interrupt = Interrupt()
    interrupt.check()
    interrupt.request("SIGTERM")
    with pytest.raises(Stopped, match="SIGTERM"):
        interrupt.check()


class Store:
    """The values that the processes of a run publish, and the barrier between two steps."""

    def __init__(self, count):
        self.values, self.changed = {}, threading.Condition()
        self.barrier = threading.Barrier(count)

    def publish(self, key, value):
        with self.changed:
            self.values.setdefault(key, value)
            self.changed.notify_all()


def test_two_processes_stop_in_the_same_call_for_the_first_reason(monkeypatch):
    """Two threads stand for the processes, of which one is asked to stop."""
    store = Store(2)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "make_key", lambda: "stop")
    monkeypatch.setattr(processes, "publish", store.publish)
    monkeypatch.setattr(processes, "find_value", lambda key: store.values.get(key))

    def find_largest(key, value):
        store.publish(f"{key}/{value}/{threading.get_ident()}", str(value))
        with store.changed:
            assert store.changed.wait_for(lambda: sum(key in name for name in store.values) == 2)
            return max(int(v) for name, v in store.values.items() if key in name)

    monkeypatch.setattr(processes, "find_largest", find_largest)
    stopped = {}

    def train(number):
        interrupt = Interrupt()
        for call in range(1, 10_000):
            if number == 1 and call == 4:
                interrupt.request("SIGTERM")
            try:
                interrupt.check()
            except Stopped as error:
                stopped[number] = (call, error.reason)
                return
            time.sleep(0.001)  # 10,000 steps take far longer than POLL_SECONDS
            store.barrier.wait(20)

    threads = [threading.Thread(target=train, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert stopped[0] == stopped[1] and stopped[0][0] >= 4 and stopped[0][1] == "SIGTERM"


def test_the_thread_that_looks_for_requests_is_waited_for_at_the_end(monkeypatch):
    """Also where `dfjax.train` runs the loop in a daemon thread, whose threads inherit that.

    A daemon thread that is inside JAX when the interpreter ends aborts the process with 134.
    """
    found, ended = [], threading.Event()

    def find_value(key):
        found.append(threading.current_thread().daemon)
        ended.set()
        return "SIGTERM"

    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "make_key", lambda: "stop")
    monkeypatch.setattr(processes, "find_value", find_value)
    monkeypatch.setattr(processes, "find_largest", lambda key, value: value + 9)
    threading.Thread(target=Interrupt().check, daemon=True).start()
    assert ended.wait(10) and found == [False]


@pytest.mark.parametrize("place", ["request", "say", "_wait"])
def test_a_second_interrupt_abandons_the_run_wherever_it_comes(monkeypatch, place):
    interrupt, release = Interrupt(), threading.Event()

    def press(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(interrupts, "_wait", press)
    monkeypatch.setattr(interrupt if place == "request" else interrupts, place, press)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(lambda: release.wait(30), interrupt)
    assert interrupt.abandoned and not interrupt.ended.is_set()
    release.set()
    assert interrupt.ended.wait(30)


class Late(threading.Event):
    """An event whose first calls of `set` are interrupted."""

    def __init__(self, interrupts):
        super().__init__()
        self.interrupts = interrupts

    def set(self):
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        super().set()


def make_late(monkeypatch, interrupts_of_begin):
    """Lets the event that the thread waits for be set late."""
    events = iter([Late(interrupts_of_begin), threading.Event()])
    patched = types.SimpleNamespace(Thread=threading.Thread, Event=lambda: next(events))
    monkeypatch.setattr(interrupts, "threading", patched)


def test_two_interrupts_before_the_thread_may_begin_end_it(monkeypatch):
    interrupt, called = Interrupt(), []
    make_late(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        run_interruptible(lambda: called.append(1), interrupt)
    assert interrupt.abandoned and interrupt.ended.wait(30) and not called


def test_an_interrupt_before_the_thread_may_begin_is_a_request_to_stop(monkeypatch):
    def train():
        while True:
            interrupt.check()
            time.sleep(0.01)

    interrupt = Interrupt()
    make_late(monkeypatch, 1)
    with pytest.raises(Stopped, match="interrupt"):
        run_interruptible(train, interrupt)
