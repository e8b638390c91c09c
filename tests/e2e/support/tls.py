"""A RUM that speaks TLS, as the samples with a name for RUM ask for it."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trustme

from .fake_rum import FakeRum


class Receiver(NamedTuple):
    """A RUM with a certificate for its name, by an authority of its own."""

    rum: FakeRum
    authority: Path
    names: list[str | None]  # the SNI of every handshake


def receiver(directory: Path, name: str) -> Iterator[Receiver]:
    """For a fixture: closes and verifies it at the end."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    rum = FakeRum(name, ssl=context)
    yield Receiver(rum, directory / "ca.pem", names)
    rum.close()
    rum.verify()
