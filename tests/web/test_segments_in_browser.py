"""The composer counts SMS as the server does: the browser's own module over the same cases."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Browser

from channels.sms.segments import count

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests/fixtures/segments.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def module(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The module as scripts get it, with its one function in the window."""
    source = ROOT / "inbox/web/static/src/segments.ts"
    out = tmp_path_factory.mktemp("bundle") / "segments.js"
    program = ROOT / "node_modules/.bin/esbuild"
    subprocess.run(
        [program, source, "--bundle", "--format=iife", "--global-name=segments", f"--outfile={out}"], check=True
    )
    return out.read_text("utf-8")


async def test_the_browser_counts_segments_as_the_server_does(chromium: Browser, module: str) -> None:
    page = await chromium.new_page()
    await page.add_script_tag(content=module)
    texts = [case["text"] for case in CASES] + [
        "\U0001f600" * 34,
        "\U0001f600" * 35 + "a",
        "€" * 77,
        "a" * 152 + "€" * 5,
    ]
    found = await page.evaluate("texts => texts.map(text => segments.count(text))", texts)
    await page.close()
    for text, got in zip(texts, found, strict=True):
        wanted = count(text)
        names = (wanted.encoding, wanted.units, wanted.segments, wanted.left, wanted.forced_by)
        assert (got["encoding"], got["units"], got["segments"], got["left"], got["forcedBy"]) == names, repr(text[:40])
