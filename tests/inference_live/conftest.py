"""Real inference servers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.llama_server import LlamaServer, Serve, installed, llama_server
from support.tiny_llama import make


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that llama.cpp serves, made once."""
    if not installed():
        pytest.skip("xllamacpp is not installed (scripts/test --all)")
    return make(tmp_path_factory.mktemp("tiny-llama") / "tiny.gguf")


@pytest.fixture
def serve(tiny_llama: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts llama.cpp servers."""
    with ExitStack() as servers:

        def start(**options: Any) -> LlamaServer:
            return servers.enter_context(llama_server(tiny_llama, tmp_path, **options))

        yield start
