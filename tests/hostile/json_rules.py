"""Events that are dear to a reader of JSON, or to a rule of the scrubber that looks at the structure."""

import json
from collections.abc import Callable

from .envelopes import ROOM, event, fill, message

# With what is around it within the depth that is read.
DEEP = 120
PASSWORDS = b"password=hunter2 "


def _nested(start: bytes, end: bytes, inmost: bytes = b"1") -> bytes:
    return start * DEEP + inmost + end * DEEP


def _deep(start: bytes, end: bytes, size: int) -> bytes:
    """So many that they take up the size."""
    count = (size - ROOM) // len(start + end)
    return start * count + b"1" + end * count


def _counts(inmost: bytes) -> bytes:
    return b"{%s}" % _nested(b'"tokens":{"value":1,', b"}", inmost)


COUNTS = _counts(b'"z":1')


def _quoted(text: bytes, levels: int = 4) -> bytes:
    """JSON in a string of JSON and so on."""
    quoted = text.decode()
    for _ in range(levels):
        quoted = json.dumps({"a": quoted})
    return json.dumps(quoted).encode()


def _broken(text: bytes, levels: int = 4) -> bytes:
    """Likewise, and none of them ends."""
    quoted = text.decode()
    for _ in range(levels):
        quoted = json.dumps({"a": quoted})[:-2]
    return json.dumps(quoted).encode()


def _list(unit: bytes, size: int) -> bytes:
    """An event with a list of the same over and over."""
    return event(b'"extra":{"x":[%s1]}' % fill(unit + b",", size))


MAKERS: dict[str, Callable[[int], bytes]] = {
    # Keys.
    "counts": lambda size: event(_counts(b'"z":[%s1]' % fill(b'"",', size))[1:-1]),
    "counts-uncompressed": lambda size: event(_counts(b'"z":[%s1]' % fill(b'"",', size))[1:-1]),
    "counts-around-string": lambda size: event(_counts(b'"z":"%s"' % fill(b"x", size))[1:-1]),
    "counts-many": lambda size: _list(COUNTS, size),
    "counts-flat": lambda size: _list(b'{"tokens":{"value":1}}', size),
    "counts-in-string": lambda size: event(b'"d":"[%s1]"' % fill(COUNTS.replace(b'"', b'\\"') + b",", size)),
    "keys-plain": lambda size: event(fill(b'"toke":1,', size) + b'"z":1'),
    "keys-sensitive": lambda size: event(fill(b'"password":"x",', size) + b'"z":1'),
    "keys-long-words": lambda size: event(fill(b'"aB_cD-eF.gH%5BiJ%5D":1,', size) + b'"z":1'),
    "keys-read": lambda size: event(fill(b'"exception":{"values":[{"type":"a"}]},', size) + b'"z":1'),
    "keys-escaped": lambda size: event(fill(b'"pass\\u0077ord":"x",', size) + b'"z":1'),
    "key-long": lambda size: event(b'"%s":1' % fill(b"x", size)),
    "key-long-words": lambda size: event(b'"%s":1' % fill(b"to_ken-", size)),
    "sensitive-object": lambda size: event(b'"password":{%s"z":1}' % fill(b'"a":[1],', size)),
    # Containers.
    "pairs": lambda size: _list(b'["Authorization","x"]', size),
    "pairs-not": lambda size: _list(b'["a",1]', size),
    "pair-long": lambda size: event(b'"extra":[["authorization",[%s1]]]' % fill(b"1,", size)),
    "deep-arrays": lambda size: event(b'"d":' + _deep(b"[", b"]", size)),
    "deep-objects": lambda size: event(b'"d":' + _deep(b'{"a":', b"}", size)),
    "deep-to-the-limit": lambda size: _list(_nested(b"[", b"]"), size),
    "values-small": lambda size: _list(b"1", size),
    "containers-empty": lambda size: _list(b"[],{}", size),
    # Strings.
    "strings-in-strings": lambda size: event(b'"d":%s' % _quoted(fill(PASSWORDS, size))),
    "strings-broken": lambda size: event(b'"d":%s' % _broken(fill(PASSWORDS, size))),
    "strings-broken-many": lambda size: _list(_broken(b"x", 4), size),
    "strings-nested-deep": lambda size: _list(_quoted(b"x", 9), size),
    "strings-scrubbed": lambda size: _list(b'"password=hunter2"', size),
    "strings-like-json": lambda size: _list(b'"[{"', size),
    "escapes": lambda size: message(fill(b"\\u0041", size)),
    "escapes-short": lambda size: message(fill(b"\\n\\t\\\\", size)),
    "surrogates": lambda size: message(fill(b"\\ud83d\\ude00", size)),
    "surrogates-alone": lambda size: message(fill(b"\\ud800", size)),
    # Long things.
    "number-long": lambda size: event(b'"timestamp":' + fill(b"1", size)),
    "numbers-long": lambda size: _list(b"0." + b"12345678" * 131_072, size),
    "whitespace": lambda size: event(fill(b" \t\n", size) + b'"message":"x"'),
    "whitespace-everywhere": lambda size: event(fill(b'"a" : [ 1 , 2 ] ,\n', size) + b'"z":1'),
}
