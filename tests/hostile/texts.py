"""Events whose message is dear to a rule of the scrubber for text that is not JSON."""

from collections.abc import Callable

from .envelopes import fill, message

UNITS: dict[str, bytes] = {
    "text-plain": b"The quick brown fox. ",
    "text-multibyte": "\u00e9\u4e2d\U0001f600".encode(),
    "bearer": b"Bearer abcdef0123456789 ",
    "bearer-alone": b"bearer ",
    "cards": b"4111111111111111 ",
    "cards-dashes": b"4111-1111-1111-1111-",
    "digits": b"4",
    "digits-spaces": b"4 ",
    "pairs-text": b"password=hunter2&a=b;",
    "pairs-chain": b"token=",
    "pairs-colons": b"a:",
    "pairs-percent": b"password%3Dhunter2%26",
    "pairs-cookies": b"Cookie: a=1; b=2; ",
    "pairs-bytes": b"(b'authorization', b'abc'), ",
    "quotes-open": b"password='",
    "quotes-escaped": b'password=\\"\\\\\\"',
    "brackets-open": b"password=[",
    "brackets-mixed": b"password={(a[",
    "brackets-closed": b"password=[[]] ",
    "pem-open": b"-----BEGIN RSA PRIVATE KEY-----",
    "pem": b"-----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n",
    "user-password": b"https://user:password@host/ ",
    "user-open": b"://a:",
    "user-percent": b"https%3A%2F%2Fuser%3Apassword%40host ",
    "tokens-jwt": b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl ",
    "tokens-jwt-open": b"eyJ.",
    "tokens-cloud": b"AKIAIOSFODNN7EXAMPLE LTAI4FoLmvQ9urWXgSRpDvh1 ghp_0123456789abcdefghijABCDEFGHIJ012345 ",
    "tokens-cloud-open": b"AKIA",
}
# One of a rule's things that never ends, before a text that has none.
LONG: dict[str, tuple[bytes, bytes]] = {
    "bearer-long": (b"Bearer ", b"a"),
    "quote-long": (b"password='", b"a "),
    "key-text-long": (b"password", b"x"),
    "user-long": (b"https://user:", b"a"),
}


def _repeated(unit: bytes) -> Callable[[int], bytes]:
    return lambda size: message(fill(unit, size))


def _long(start: bytes, unit: bytes) -> Callable[[int], bytes]:
    return lambda size: message(start + fill(unit, size))


MAKERS: dict[str, Callable[[int], bytes]] = {
    **{name: _repeated(unit) for name, unit in UNITS.items()},
    **{name: _long(*parts) for name, parts in LONG.items()},
}
