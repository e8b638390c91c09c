"""Sends the wires of smuggle1.py and smuggle2.py as they are, all at once, and finds again what they led to."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from . import replay, smuggle1, smuggle2
from .http1 import Request

# By name: the case's own bytes, and those of somebody else's request behind them.
WIRES = {f"h1-{name}": (wire, smuggle1.AFTER) for name, wire in smuggle1.WIRES.items()}
WIRES |= {f"h2-{name}": (smuggle2.wire(frames), smuggle2.AFTER) for name, frames in smuggle2.FRAMES.items()}
CASES = [(name, then) for name in WIRES for then in ("alone", "then-another")]
# So long nothing came: the edge waits for more.
SILENCE_SECONDS = 1.5


def _answers(client: replay.Client) -> Iterator[int]:
    """Statuses of HTTP/1.1 answers, up to the end of the connection."""
    while status := client.answer().status:
        yield status


def talk(port: int, wire: bytes) -> list[int]:
    """Sends bytes and reads all answers: their statuses in order; -1 when it ends in silence."""
    statuses: list[int] = []
    is_h2 = wire.startswith(smuggle2.PREFACE)
    # The sending side stays open: Envoy gives up a request whose client has half closed.
    with replay.Client(port, timeout=SILENCE_SECONDS) as client:
        try:
            client.send(wire)
        except OSError:
            pass  # refused in the middle: the answer is there to be read
        try:
            for status in smuggle2.answers(client) if is_h2 else _answers(client):
                # HTTP/1.1, refused: Envoy answers and closes at once, and the reset may overtake the answer.
                if status == 400 and not is_h2:
                    break
                statuses.append(status)
        except TimeoutError:
            statuses.append(-1)
    # The streams of one HTTP/2 connection are answered in any order.
    return sorted(statuses) if is_h2 else statuses


def sweep(ports: list[int], adapt: Callable[[bytes], bytes] = lambda wire: wire) -> list[list[list[int]]]:
    """All cases to all ports; of each case the statuses by port. `adapt`: a wire for another kind of edge."""
    with ThreadPoolExecutor(96) as pool:
        jobs = []
        for number, (name, then) in enumerate(CASES):
            wire, after = WIRES[name]
            wire = adapt(wire + after if then == "then-another" else wire)
            wire = wire.replace(smuggle1.AGENT, _agent(number))
            jobs.append([pool.submit(talk, port, wire) for port in ports])
        return [[job.result() for job in case] for case in jobs]


def of(number: int, requests: list[Request]) -> list[Request]:
    """Those requests that case `number` led to."""
    return [request for request in requests if _agent(number) in request.head]


def _agent(number: int) -> bytes:
    return b"case-%04d" % number
