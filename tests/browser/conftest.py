"""Debian's Chromium with a microphone that plays real speech, and the five real services behind the page."""

import shutil
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import DATA
from tests.house import House

# Real models on a busy machine: how long an expectation may take to come true.
PATIENCE_MS = 120_000
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--auto-accept-this-tab-capture",
)

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def microphone_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices in turn, then a pause: what the fake microphone plays over and over."""
    with av.open(str(DATA / "two_speakers.flac")) as file:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)])
    path = tmp_path_factory.mktemp("microphone") / "voices.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(np.concatenate([samples.astype("<i2"), np.zeros(32_000, "<i2")]).tobytes())
    return path


@pytest.fixture(scope="module")
def chromium(microphone_wav: Path) -> Iterator[Browser]:
    """One browser for all tests of a file; it ends with them, since its loop would disturb async tests."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "install Debian's chromium: apt-get install chromium"
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            # Playwright's own headless flag chooses a mode without tab capture.
            headless=False,
            args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone_wav}"],
            ignore_default_args=["--mute-audio"],
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, house: House) -> Iterator[Open]:
    """Opens the page in a context of its own; a script error fails the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def opened(path: str = "/?tab=self", *, allow: tuple[str, ...] = ("microphone",)) -> Page:
        context = chromium.new_context(viewport={"width": 1360, "height": 850}, locale="en-US", accept_downloads=True)
        contexts.append(context)
        context.grant_permissions(list(allow))
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(house.page + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
