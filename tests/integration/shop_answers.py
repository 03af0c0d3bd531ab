"""A plugin for the pytest of ``examples/shop``: writes down what each test was answered over HTTP.

It is loaded by ``-p``, and writes to the file that ``SHOP_ANSWERS`` names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

_answers: dict[str, list[tuple[str, str, int, str]]] = {}


@pytest.fixture(autouse=True)
def answers_are_noted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = _answers.setdefault(request.node.nodeid, [])
    send = httpx.AsyncClient.send

    async def noting(self: httpx.AsyncClient, sent: httpx.Request, **options: Any) -> Any:
        answer = await send(self, sent, **options)
        noted.append((sent.method, sent.url.path, answer.status_code, answer.text))
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "send", noting)


def pytest_sessionfinish() -> None:
    Path(os.environ["SHOP_ANSWERS"]).write_text(json.dumps(_answers), encoding="utf-8")
