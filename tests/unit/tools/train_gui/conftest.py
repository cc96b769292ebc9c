from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tools.train_gui.render import launched


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """A page of the browser that the training pages are drawn with."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser.new_page(viewport={"width": 400, "height": 300})
        browser.close()
