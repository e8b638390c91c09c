"""Clients at work in the background: threads, each with connections of its own, until they are told to stop."""

import threading


class Clients:
    """What they do is `_run`. They begin at once: a subclass calls this `__init__` last."""

    def __init__(self, count: int) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, worker: int) -> None:
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Until they have ended by themselves."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def halt(self) -> None:
        self._stopping.set()
        self.wait()
