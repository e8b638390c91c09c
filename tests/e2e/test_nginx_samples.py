"""Every configuration in nginx/ is one that nginx can read: Debian's, without what belongs to ngx_wasm_module."""

from pathlib import Path

import pytest

from support import nginx

SAMPLES = sorted(nginx.SAMPLES.glob("*.conf"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_nginx_can_read_it(sample: Path, tmp_path: Path) -> None:
    text = nginx.without_wasm(sample.read_text())
    assert "proxy_wasm " not in text
    result = nginx.check(tmp_path, text)
    assert result.returncode == 0, result.stderr


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    (sample,) = [path for path in SAMPLES if path.name == "mirror.conf"]
    result = nginx.check(tmp_path, sample.read_text().replace("mirror_request_body on;", "mirror_request_body maybe;"))
    assert result.returncode != 0
    assert "maybe" in result.stderr


def test_there_are_samples_with_and_without_the_module() -> None:
    with_module = [path for path in SAMPLES if "proxy_wasm " in path.read_text()]
    assert 0 < len(with_module) < len(SAMPLES)
