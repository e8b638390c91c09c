"""A proxy-wasm module of 200 bytes that traps on a request with more than TOO_MANY headers and passes all others.

Assembled here byte by byte (WebAssembly core specification, section 5.5), so that no tool is needed to build it.
Our own module is built not to trap; this one shows what Envoy would do if it did.
"""

TOO_MANY = 30

I32 = b"\x7f"
LOCAL_GET, I32_CONST, I32_GT_S, IF, UNREACHABLE, END = b"\x20", b"\x41", b"\x4a", b"\x04\x40", b"\x00", b"\x0b"


def _vector(items: list[bytes]) -> bytes:
    assert len(items) < 128
    return bytes([len(items)]) + b"".join(items)


def _section(number: int, content: bytes) -> bytes:
    size, encoded = len(content), b""
    while size > 127:
        encoded, size = encoded + bytes([size & 127 | 128]), size >> 7
    return bytes([number]) + encoded + bytes([size]) + content


def _name(text: str) -> bytes:
    return _vector([bytes([byte]) for byte in text.encode()])


def build() -> bytes:
    """The module's bytes."""
    one = I32_CONST + b"\x01"
    too_many = LOCAL_GET + b"\x01" + I32_CONST + bytes([TOO_MANY]) + I32_GT_S + IF + UNREACHABLE + END
    # name, number of i32 parameters, number of i32 results, code
    functions = [
        ("proxy_abi_version_0_2_1", 0, 0, b""),
        ("proxy_on_memory_allocate", 1, 1, I32_CONST + b"\x80\x08"),  # 1024
        ("proxy_on_context_create", 2, 0, b""),
        ("proxy_on_vm_start", 2, 1, one),
        ("proxy_on_configure", 2, 1, one),
        ("proxy_on_request_headers", 3, 1, too_many + I32_CONST + b"\x00"),
        # Like our module it sees requests only: no callback for responses is exported.
        ("proxy_on_request_body", 3, 1, I32_CONST + b"\x00"),
    ]
    types = [b"\x60" + _vector([I32] * p) + _vector([I32] * r) for _, p, r, _ in functions]
    exports = [_name(name) + b"\x00" + bytes([index]) for index, (name, *_) in enumerate(functions)]
    exports.append(_name("memory") + b"\x02\x00")
    bodies = [b"\x00" + code + END for *_, code in functions]
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        [
            _section(1, _vector(types)),
            _section(3, _vector([bytes([index]) for index in range(len(functions))])),
            _section(5, b"\x01\x00\x01"),  # one memory of one page
            _section(7, _vector(exports)),
            _section(10, _vector([bytes([len(body)]) + body for body in bodies])),
        ]
    )
