"""An open-loop load: requests at a fixed mean rate over keep-alive connections, latency of each answer.

The arrivals are a Poisson process from a fixed seed, so every contender gets the same schedule. A latency counts from the
moment the request was DUE, also when no connection was free then: a stalled proxy cannot hide its stall by slowing the
client down (coordinated omission). `select` and not `epoll`, because its time-out has microseconds.

Usage: paced.py PORT RATE SECONDS CONNECTIONS REQUEST_FILE; prints one JSON object.
REQUEST_FILE holds one complete HTTP/1.1 request, head and body.
"""

import ctypes
import gc
import json
import random
import select
import socket
import sys
import time
from collections import deque

PR_SET_TIMERSLACK = 29  # linux/prctl.h: by default a sleep may end 50 us late
GRACE_SECONDS = 2.5  # for answers still out at the end


def connect(port: int) -> socket.socket:
    """One connection, non-blocking after the handshake."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # a whole request always fits
    sock.setblocking(False)
    return sock


def answer_status(data: bytes) -> int | None:
    """The status of a complete answer with Content-Length, None while bytes are missing."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return int(data[9:12]) if len(data) >= end + 4 + length else None


def schedule(rate: float, seconds: float) -> list[float]:
    """The moments, in seconds from the start, at which requests are due."""
    rng, at, due = random.Random(1), 0.0, []
    while (at := at + rng.expovariate(rate)) < seconds:
        due.append(at)
    return due


def run(port: int, rate: float, seconds: float, connections: int, request: bytes) -> dict:
    """Sends the schedule and returns counts and latencies."""
    free = deque(connect(port) for _ in range(connections))
    busy: dict[socket.socket, tuple[float, bytes]] = {}
    waiting, due = deque(), deque(schedule(rate, seconds))
    latencies, bad, broken = [], 0, 0
    now = time.perf_counter
    start = now()
    end = start + seconds + GRACE_SECONDS
    while (due or waiting or busy) and now() < end:
        elapsed = now() - start
        while due and due[0] <= elapsed:
            waiting.append(due.popleft())
        while waiting and free:
            sock = free.popleft()
            busy[sock] = (waiting.popleft(), b"")
            sock.send(request)
        wait = max(0.0, due[0] - (now() - start)) if due else 0.05
        for sock in select.select(list(busy), (), (), wait)[0]:
            since, data = busy[sock]
            try:
                chunk = sock.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                broken += 1
                del busy[sock]
                sock.close()
                free.append(connect(port))
                continue
            status = answer_status(data + chunk)
            if status is None:
                busy[sock] = (since, data + chunk)
                continue
            latencies.append(now() - start - since)
            bad += status != 200
            del busy[sock]
            free.append(sock)
    took = now() - start
    answered = len(latencies)
    # What never came counts with the time it was waited for: a lower bound, and no percentile without the worst.
    lost = [*due, *waiting, *(since for since, _ in busy.values())]
    latencies = sorted(latencies + [took - since for since in lost])

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e6 if latencies else float("nan")

    return {
        "requests": answered,
        "unanswered": len(lost),
        "bad_status": bad,
        "broken": broken,
        "rps": answered / took,
        "p50_us": at(0.50),
        "p90_us": at(0.90),
        "p99_us": at(0.99),
    }


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0)
    gc.disable()
    with open(sys.argv[5], "rb") as file:
        body = file.read()
    print(json.dumps(run(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), body)))
