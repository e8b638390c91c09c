"""The other client: asks the same worker all the time, in a process of its own, and says how long it had to wait at most.

    prober.py PORT PATH

For each line on its standard input it prints one: the longest wait in seconds since the line before, and how many requests.
"""

import select
import socket
import sys
import time

PAUSE_SECONDS = 0.001
TIMEOUT_SECONDS = 120


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    peer = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = f"GET {path} HTTP/1.1\r\nhost: edge.example\r\n\r\n".encode()
    longest, count = 0.0, 0
    while True:
        began = time.perf_counter()
        peer.sendall(request)
        answer = peer.recv(65536)
        while not answer.endswith(b"\r\n\r\n"):
            more = peer.recv(65536)
            if not more:
                sys.exit("the edge closed the connection")
            answer += more
        if not answer.startswith(b"HTTP/1.1 204"):
            sys.exit(f"not answered: {answer[:80]!r}")
        longest, count = max(longest, time.perf_counter() - began), count + 1
        ready, _, _ = select.select([sys.stdin], [], [], PAUSE_SECONDS)
        if ready:
            if not sys.stdin.readline():
                return
            print(longest, count, flush=True)
            longest, count = 0.0, 0


if __name__ == "__main__":
    main()
