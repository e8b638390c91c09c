"""Real sentry-sdk programs: `python_app.py <what>...` with SENTRY_DSN set sends each kind of thing and prints event ids."""

import sys
import time

# Bugsink's, in the same environment: these programs are no Django applications, and the SDK would load all of it.
sys.modules["django"] = None  # type: ignore[assignment]

import sentry_sdk  # noqa: E402


def error() -> None:
    """An exception with its stack, as an application would lose it."""
    try:
        {}["missing"]
    except KeyError as problem:
        sentry_sdk.capture_exception(problem)


def big_error() -> None:
    """A compressed event with much context."""
    with sentry_sdk.new_scope() as scope:
        scope.set_context("table", {f"row {n}": "äöü €" * 20 for n in range(300)})
        sentry_sdk.capture_message("much context", level="warning")


def transaction() -> None:
    with sentry_sdk.start_transaction(op="task", name="nightly"), sentry_sdk.start_span(op="db", name="select 1"):
        time.sleep(0.001)


def logs() -> None:
    for number in range(3):
        sentry_sdk.logger.warning("stock is low: {left}", attributes={"left": number})


def session() -> None:
    sentry_sdk.get_isolation_scope().start_session(session_mode="application")
    sentry_sdk.capture_message("inside a session")
    sentry_sdk.get_isolation_scope().end_session()


def attachment() -> None:
    with sentry_sdk.new_scope() as scope:
        scope.add_attachment(bytes=bytes(range(256)) * 100, filename="dump.bin")
        scope.add_attachment(bytes=b"line\n\nline", filename="notes.txt", content_type="text/plain")
        sentry_sdk.capture_message("with attachments", level="error")


def check_in() -> None:
    from sentry_sdk.crons import capture_checkin

    capture_checkin(monitor_slug="nightly", status="ok", duration=1.5)


def flask() -> None:
    """A Flask application whose view fails; the integration reports it."""
    from flask import Flask

    app = Flask("shop")

    @app.get("/order/<int:number>")
    def order(number: int) -> str:
        raise ValueError(f"order {number} has no lines")

    answer = app.test_client().get("/order/7", headers={"User-Agent": "shopper/1.0"})
    assert answer.status_code == 500


def announce(event: dict, _hint: dict) -> dict:
    """Says which error events are about to be sent."""
    if event.get("type") is None:  # not a check-in
        print("event", event["event_id"])
    return event


if __name__ == "__main__":
    sentry_sdk.init(traces_sample_rate=1.0, enable_logs=True, release="shop@1.2.3", before_send=announce)
    for what in sys.argv[1:]:
        globals()[what]()
        sentry_sdk.flush(10)
