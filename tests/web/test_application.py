"""What every copy serves beside the rooms: health, the built front end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from yarl import URL

from inbox.core.mongo import Mongo
from inbox.web.assets import Assets
from inbox.web.routes import Access, Route
from tests.fixtures.web import Site


async def test_health_is_told_to_anybody(site: Site) -> None:
    browser = await site.browser(await site.serve())
    response = await browser.get("/healthz")
    assert response.status == 200
    assert await response.json() == {"status": "ok", "database": "ok"}


async def test_health_is_bad_while_the_database_is_away(site: Site, mongo_uri: str) -> None:
    browser = await site.browser(await site.serve())
    away = await Mongo.connect(mongo_uri, "away")
    away.close()
    site.mongo = away
    response = await browser.get("/healthz")
    assert response.status == 503
    assert (await response.json())["status"] == "unavailable"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / "app-1a2b.js").write_text("start()")
    (dist / "manifest.json").write_text('{"version": "v7", "files": {"app.js": "app-1a2b.js"}}')
    (tmp_path / "secret.key").write_text("key")
    return dist


def test_a_file_of_the_build_is_found_by_its_name_in_the_source(built: Path) -> None:
    assets = Assets(built)
    assert assets.url("app.js") == "/static/dist/app-1a2b.js"
    assert assets.version == "v7"


def test_without_a_build_there_is_no_front_end_and_no_failure(tmp_path: Path) -> None:
    assert Assets(tmp_path / "none").url("app.js") == "/static/dist/app.js"


async def test_only_files_of_the_build_are_served_and_they_stay_for_ever(site: Site, built: Path) -> None:
    assets = await asyncio.to_thread(Assets, built)
    route = Route("GET", "/built/{name}", assets.serve, Access.PUBLIC)
    browser = await site.browser(await site.serve([route]))
    response = await browser.get("/built/app-1a2b.js")
    assert await response.text() == "start()"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Type"] in ("application/javascript", "text/javascript")
    for path in ("/built/..%2fsecret.key", "/built/%2e%2e%2fsecret.key", "/built/other.js", "/built/", "/static/dist/"):
        response = await browser.client.get(URL(path, encoded=True))
        assert response.status == 404
        assert "key" not in await response.text()
