"""The page's minutes of an imported meeting, with words that try to be more than words."""

import httpx2
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.house import House

MEETING = """WEBVTT

00:00:01.000 --> 00:00:04.000
<v Priya &lt;img src=x&gt;>Good morning, let us start with the &lt;b&gt;sensors&lt;/b&gt;.</v>

00:00:05.000 --> 00:00:09.000
<v Jan Kowalski>So we agreed to order &lt;b onclick=alert(1)&gt;two&lt;/b&gt; hundred sensors.</v>

00:00:10.000 --> 00:00:14.000
<v Jan Kowalski>I will write the release checklist by Thursday.</v>

00:00:15.000 --> 00:00:17.000
<v Priya &lt;img src=x&gt;>Does the warehouse have room for them?</v>

00:00:18.000 --> 00:00:20.000
<v Jan Kowalski>I have no idea.</v>
"""


def opened(open_page: Open, house: House) -> Page:
    imported = httpx2.post(f"{house.page}/api/sessions/import?title=Plan", content=MEETING.encode(), timeout=20)
    page = open_page(f"/#{imported.json()['session_id']}")
    expect(page.locator("#utterances")).to_contain_text("release checklist")
    page.click("#open-minutes")
    return page


def test_minutes_show_every_kind_of_line_as_text_and_lead_to_the_words(open_page: Open, house: House) -> None:
    page = opened(open_page, house)
    minutes = page.locator("#minutes-lines")
    expect(minutes.locator("h3")).to_have_text(["Topics", "Decisions", "Action items", "Open questions"])
    expect(minutes).to_contain_text("So we agreed to order <b onclick=alert(1)>two</b> hundred sensors.")
    expect(minutes).to_contain_text("Jan Kowalski, by Thursday")
    expect(minutes).to_contain_text("Does the warehouse have room for them? – I have no idea.")
    expect(minutes).to_contain_text("Priya <img src=x>")
    assert minutes.locator("b, img").count() == 0
    minutes.get_by_role("button", name="release checklist").click()
    expect(page.locator("#minutes")).to_be_hidden()
    expect(page.locator("#utterances mark")).to_have_text("I will write the release checklist by Thursday.")


def test_minutes_are_downloaded_as_markdown(open_page: Open, house: House) -> None:
    page = opened(open_page, house)
    page.locator("#minutes").get_by_role("button", name="Close").click()
    page.click("#downloads summary")
    with page.expect_download() as download:
        page.click("#minutes-md")
    text = download.value.path().read_text()
    assert text.startswith("# Minutes: Plan\n") and "**Jan Kowalski, by Thursday**: I will write" in text


def test_what_the_minutes_tell_is_offered_beside_the_questions(open_page: Open, house: House) -> None:
    page = opened(open_page, house)
    page.locator("#minutes").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="What was decided?").click()
    expect(page.locator("#minutes-lines")).to_contain_text("we agreed to order")


def test_the_minutes_answer_in_the_question_box_and_a_question_goes_on_from_the_last(
    open_page: Open, house: House
) -> None:
    page = opened(open_page, house)
    page.locator("#minutes").get_by_role("button", name="Close").click()

    def ask(question: str) -> None:
        page.fill("#question", question)
        page.keyboard.press("Enter")

    answer = page.locator("#answers > li").last
    ask("Summarize the meeting")
    expect(answer).to_contain_text("Decisions:")
    expect(answer.locator(".evidence")).to_contain_text(
        "So we agreed to order <b onclick=alert(1)>two</b> hundred sensors."
    )
    ask("Who will write the release checklist?")
    expect(answer.locator(".said")).to_contain_text("I will write the release checklist by Thursday.")
    ask("And by when?")
    expect(answer.locator(".asked")).to_have_text("And by when?")
    expect(answer.locator(".said")).to_contain_text("by Thursday")
