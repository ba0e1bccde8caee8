from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.seeded_store import Seeded, seeded_copy
from support.web_server import Running, serving_seeded


@pytest.fixture
def seeded(tmp_path: Path) -> Iterator[Seeded]:
    store = seeded_copy(tmp_path)
    yield store
    store.database.close()


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def daemon(seeded: Seeded) -> Iterator[Running]:
    with serving_seeded(seeded) as running:
        yield running


@pytest.fixture(scope="module")
def shown_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """For tests that only look."""
    store = seeded_copy(tmp_path_factory.mktemp("shown"))
    yield store
    store.database.close()


@pytest.fixture(scope="module")
def shown(shown_store: Seeded) -> Iterator[Running]:
    with serving_seeded(shown_store) as running:
        yield running
