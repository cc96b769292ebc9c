"""The main job in the browser: a person, a microphone, a shared tab, and the five real services."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Open
from tests.house import House

# Words of the fake microphone's file that every recogniser gets right (tests/data/truth.json).
SAID = re.compile("circumstances|happened|workhouse", re.I)


def begin(page: Page, *, microphone: bool = True, screen: bool = False, title: str = "") -> str:
    """Start a meeting; returns its id."""
    page.locator("#use-mic").set_checked(microphone, force=True)
    page.locator("#use-screen").set_checked(screen, force=True)
    page.fill("#new-title", title)
    page.click("#begin")
    expect(page.locator("#state")).to_contain_text("Recording")
    page.wait_for_url(re.compile("#.+"))
    return page.url.partition("#")[2]


def finish(page: Page) -> None:
    page.click("#finish")
    expect(page.locator("#state")).to_contain_text("Ended")


def test_words_and_names_survive_a_reload_and_go_into_the_downloads(open_page: Open) -> None:
    page = open_page()
    session = begin(page, title="Reading")
    expect(page.locator("#state")).to_have_class(re.compile("hears"))
    expect(page.locator("#partials p")).not_to_be_empty()
    expect(page.locator("#utterances")).to_contain_text(SAID)
    expect(page.locator("#lag-text")).to_contain_text(re.compile("behind|keeping up"))

    page.locator("#speakers button").first.click()
    page.fill("#rename-name", "Priya")
    page.keyboard.press("Enter")
    expect(page.locator("#speakers")).to_contain_text("Priya")

    before = SAID.search(page.locator("#utterances").inner_text())
    page.reload()
    assert page.url.endswith(session) and before
    # A word of it: the second pass may correct the others of its line meanwhile.
    expect(page.locator("#utterances")).to_contain_text(before[0])
    expect(page.locator("#speakers")).to_contain_text("Priya")
    # The microphone was allowed, so recording goes on by itself, in the same session.
    expect(page.locator("#state")).to_contain_text("Recording")
    count = page.locator("#utterances li").count()
    expect(page.locator("#utterances li").nth(count)).to_be_visible()

    finish(page)
    for name, sign in (("srt", "-->"), ("vtt", "WEBVTT"), ("md", "Reading"), ("txt", ":"), ("json", '"segments"')):
        page.click("#downloads summary")
        with page.expect_download() as download:
            page.click(f"[data-format={name}]")
        assert download.value.suggested_filename == f"Reading.{name}"
        text = download.value.path().read_text()
        assert sign in text and SAID.search(text)
        assert name not in ("md", "json") or "Priya" in text


def test_a_shared_tab_is_read_and_questions_are_answered_with_evidence_to_click(open_page: Open) -> None:
    page = open_page()
    begin(page, screen=True)
    # The tab shows this very page.
    expect(page.locator("#regions")).to_contain_text("Questions")
    expect(page.locator("#frame")).to_have_attribute("src", re.compile("/frames/"))
    # Boxes are drawn anew with every reading: the heading's is looked at in the page, in one go.
    page.wait_for_function("""() => {
        const heading = document.querySelector("#boxes rect.text[aria-label='Questions']")?.getBoundingClientRect();
        const stage = document.querySelector("#stage").getBoundingClientRect();
        return document.querySelectorAll("#boxes rect.text").length >= 5 && heading?.width
          && stage.x <= heading.x && heading.x <= stage.right && stage.y <= heading.y && heading.y <= stage.bottom;
    }""")

    expect(page.locator("#utterances")).to_contain_text(re.compile("circumstances", re.I))
    page.locator("#answers").evaluate("element => { element.style.maxHeight = '8rem'; }")
    page.fill("#question", "In what circumstances did the father die?")
    page.keyboard.press("Enter")
    answer = page.locator("#answers li[aria-busy=false]").first
    expect(answer).to_contain_text(re.compile("circumstances", re.I))
    # It and what it stands on are longer than the list: the answer is what one sees of them.
    expect(answer.locator(".said")).to_be_in_viewport(ratio=1)
    # On a small laptop, beside a shared screen, all of it is.
    page.locator("#answers").evaluate("element => { element.style.maxHeight = ''; }")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_function("""() => {
        const list = document.querySelector("#answers"), answer = list.querySelector("li[aria-busy=false]");
        return answer.offsetHeight <= list.clientHeight && list.clientHeight > 200;
    }""")
    evidence = answer.locator("button.from-speech", has_text=re.compile("circumstances", re.I)).first
    evidence.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#utterances mark").first).to_be_in_viewport()
    expect(page.locator("#utterances li.marked")).to_contain_text(re.compile("circumstances", re.I))

    page.fill("#question", "What is on the screen?")
    page.click("#ask button")
    seen = page.locator("#answers li[aria-busy=false] button.from-screen").first
    seen.click()
    expect(page.locator("#screen.pinned #boxes rect.evidence").first).to_be_visible()
    page.click("#screen-live")
    expect(page.locator("#screen.pinned")).to_have_count(0)
    finish(page)


def test_what_is_looked_for_is_marked_on_the_screen_and_what_nobody_can_tell_is_said(open_page: Open) -> None:
    page = open_page()
    begin(page, microphone=False, screen=True)
    expect(page.locator("#regions")).to_contain_text("Questions")
    # The page watches itself: what is asked for must not stand on it.
    for shown in ("#queries", "#found"):
        page.locator(shown).evaluate("element => { element.style.color = 'transparent'; }")
    page.fill("#queries", 'text "questions", the meaning of life')
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_contain_text(re.compile(r'text "questions": \d+ place'))
    expect(page.locator("#found")).to_contain_text("the meaning of life: nobody here can tell")
    expect(page.locator("#boxes rect.match").first).to_be_visible()
    page.fill("#queries", "x" * 300)
    page.click("#seek button")
    expect(page.locator("#banners")).to_contain_text("200 characters")
    finish(page)
    expect(page.locator("#seek")).to_be_hidden()


def test_a_refused_microphone_is_explained_and_the_page_lives_on(open_page: Open) -> None:
    page = open_page(allow=())
    page.locator("#use-screen").set_checked(False, force=True)
    page.click("#begin")
    expect(page.locator("#banners")).to_contain_text("did not allow the microphone")
    expect(page.locator("#begin")).to_be_enabled()
    page.locator("#use-mic").set_checked(False, force=True)
    page.click("#begin")
    expect(page.locator("#banners")).to_contain_text("Choose the microphone, a screen, or both")


def test_a_killed_service_is_reported_and_its_words_come_when_it_is_back(open_page: Open, house: House) -> None:
    page = open_page()
    begin(page)
    expect(page.locator("#utterances")).to_contain_text(SAID)
    house.kill("asr")
    expect(page.locator("#banners")).to_contain_text("Speech recognition is down")
    house.wait_until_serving()
    expect(page.locator("#banners")).not_to_contain_text("Speech recognition is down")
    count = page.locator("#utterances li").count()
    expect(page.locator("#utterances li").nth(count)).to_be_visible()
    finish(page)


def test_a_killed_gateway_is_reported_and_the_meeting_goes_on(open_page: Open, house: House) -> None:
    page = open_page()
    session = begin(page)
    expect(page.locator("#utterances")).to_contain_text(SAID)
    house.kill("gateway")
    expect(page.locator("#banners")).to_contain_text(re.compile("gateway", re.I))
    house.wait_until_serving()
    expect(page.locator("#state")).to_contain_text("Recording")
    expect(page.locator("#banners")).to_be_empty()
    count = page.locator("#utterances li").count()
    expect(page.locator("#utterances li").nth(count)).to_be_visible()
    assert page.url.endswith(session)
    finish(page)


def test_a_meeting_is_held_by_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    keys = page.keyboard

    def tab_to(selector: str, most: int = 40) -> None:
        for _ in range(most):
            keys.press("Tab")
            if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
                return
        pytest.fail(f"{selector} is not reached by Tab")

    tab_to("#use-screen")
    keys.press("Space")
    tab_to("#begin")
    keys.press("Enter")
    expect(page.locator("#state")).to_contain_text("Recording")
    expect(page.locator("#speakers button").first).to_be_visible()
    expect(page.locator("#utterances")).to_contain_text(SAID)
    tab_to("#speakers button")
    keys.press("Enter")
    expect(page.locator("#rename-name")).to_be_focused()
    keys.type("Grandmother")
    keys.press("Enter")
    expect(page.locator("#speakers")).to_contain_text("Grandmother")
    page.locator("#scroll").focus()
    keys.press("/")
    expect(page.locator("#question")).to_be_focused()
    tab_to("#finish", 60)
    keys.press("Enter")
    expect(page.locator("#state")).to_contain_text("Ended")


def test_a_voice_remembered_while_renaming_is_named_in_the_next_meeting_and_deleted(open_page: Open) -> None:
    page = open_page()
    begin(page)
    # Both readers were heard for long enough.
    expect(page.locator("#utterances")).to_contain_text(re.compile("workhouse", re.I))
    expect(page.locator("#utterances")).to_contain_text(re.compile("fireman", re.I))
    page.locator("#speakers button").first.click()
    remember = page.get_by_label("Remember this voice")
    expect(remember).not_to_be_checked()
    expect(remember).to_have_attribute("aria-describedby", "rename-note")
    expect(page.locator("#rename-note")).to_contain_text("only if they said yes")
    page.keyboard.type("Margaret")
    page.keyboard.press("Tab")
    expect(remember).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#banners")).to_contain_text("The voice of Margaret is remembered")
    finish(page)

    page = open_page()
    begin(page)
    known = page.get_by_role("button", name="Margaret, recognised by voice, rename")
    expect(known).to_be_visible()
    # A given name wins, and a name that is taken is asked about.
    known.click()
    page.get_by_label("Remember this voice").check()
    page.keyboard.press("Enter")
    expect(page.locator("#confirm-text")).to_contain_text("remembered as “Margaret” already")
    page.get_by_role("button", name="Replace").click()
    expect(page.locator("#banners")).to_contain_text("The voice of Margaret is remembered")
    expect(page.get_by_role("button", name="Margaret, rename").first).to_be_visible()
    finish(page)

    page.click("#open-meetings")
    expect(page.locator("#voices")).to_contain_text("Consent: Margaret")
    page.get_by_role("button", name="Delete the voice of Margaret").click()
    expect(page.locator("#confirm-text")).to_contain_text("Names that were written already stay")
    page.click("#confirm-yes")
    expect(page.locator("#remembered")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#speakers")).to_contain_text("Margaret")


def test_every_control_has_a_name(open_page: Open) -> None:
    page = open_page()
    nameless = """() => [...document.querySelectorAll("button, input, select, summary, a[href]")]
        .filter(node => !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()))
        .map(node => node.outerHTML)"""
    assert page.evaluate(nameless) == []


def test_a_kept_meeting_is_opened_from_the_list_and_deleted_for_good(open_page: Open) -> None:
    page = open_page()
    session = begin(page, title="To be deleted")
    expect(page.locator("#utterances")).to_contain_text(SAID)
    finish(page)
    page.goto("about:blank")
    page = open_page("/")
    page.locator("#recent a", has_text="To be deleted").click()
    expect(page.locator("#utterances")).to_contain_text(SAID)
    expect(page.locator("#state")).to_contain_text("Ended")
    page.click("#open-meetings")
    row = page.locator("#kept li", has_text="To be deleted")
    row.get_by_role("button", name=re.compile("Delete")).click()
    page.click("#confirm-yes")
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#recent")).not_to_contain_text("To be deleted")
    page = open_page(f"/#{session}")
    expect(page.locator("#banners")).to_contain_text("not kept here")


def test_an_address_that_names_no_meeting_says_so_and_shows_the_start(open_page: Open) -> None:
    page = open_page("/#100%25%")
    expect(page.locator("#banners")).to_contain_text("not kept here")
    expect(page.locator("#start-form")).to_be_visible()


def test_a_second_tab_watches_without_disturbing_the_first(open_page: Open) -> None:
    page = open_page()
    session = begin(page)
    watcher = open_page(f"/#{session}")
    expect(watcher.locator("#state")).to_contain_text("Watching")
    expect(watcher.locator("#utterances")).to_contain_text(SAID)
    watcher.click("#mic-toggle")
    expect(watcher.locator("#banners")).to_contain_text("has a writer already")
    expect(page.locator("#state")).to_contain_text("Recording")
    finish(page)
    expect(watcher.locator("#state")).to_contain_text("Ended")


def long_meeting(utterances: int) -> str:
    """Server-sent events of a meeting in which somebody says twelve words every three seconds."""
    lines = []
    for i in range(utterances):
        at = i * 50_000
        words = [
            {"text": f"word{i}.{w}", "start_sample": str(at + w * 3000), "end_sample": str(at + w * 3000 + 2000)}
            for w in range(12)
        ]
        said = {
            "utterance_id": f"u{i}",
            "start_sample": str(at),
            "end_sample": str(at + 40_000),
            "words": words,
            "language": "en",
            "speaker": f"S{1 + i % 3}",
        }
        lines.append(f"id: {i + 1}\ndata: {json.dumps({'seq': str(i + 1), 'utterance': said})}\n\n")
    evidence = {
        "kind": "speech",
        "text": "word17.0",
        "start_sample": "850000",
        "end_sample": "855000",
        "source_id": "u17",
    }
    answer = {"answer": {"text": "Seventeen.", "evidence": [evidence]}}
    asked = {"seq": str(utterances + 1), "answer": {"question_id": "q", "question": "Which?", "part": answer}}
    lines.append(f"id: {utterances + 1}\ndata: {json.dumps(asked)}\n\n")
    return "".join(lines)


def test_a_meeting_of_five_hours_keeps_the_document_small(open_page: Open) -> None:
    page = open_page("/")
    page.route("**/api/sessions/long", lambda route: route.fulfill(json={"session_id": "long", "title": "Long"}))
    page.route(
        "**/api/sessions/long/events*",
        lambda route: route.fulfill(body=long_meeting(6000), content_type="text/event-stream"),
    )
    page.evaluate("location.hash = 'long'")
    expect(page.locator("#utterances")).to_contain_text("word5999.0")
    assert page.locator("#utterances li").count() <= 200

    page.locator("#answers .evidence button").click()
    expect(page.locator("#utterances mark")).to_have_text("word17.0 word17.1")
    expect(page.locator("#utterances mark")).to_be_in_viewport()
    assert page.locator("#utterances li").count() <= 200

    page.click("#newest")
    expect(page.locator("#utterances")).to_contain_text("word5999.0")
    page.locator("#earlier").click()
    expect(page.locator("#utterances")).to_contain_text("word5730.0")
    assert page.locator("#utterances li").count() <= 200


def test_what_is_missing_of_a_kept_meeting_is_said(open_page: Open) -> None:
    page = open_page("/")
    page.route("**/api/sessions/cut", lambda route: route.fulfill(json={"session_id": "cut", "title": "Cut off"}))
    missing = [{"expert": "asr", "start_sample": "960000", "end_sample": "1600000"}]
    ended = {"seq": "1", "ended": {"end_sample": "1600000", "missing": missing}}
    page.route(
        "**/api/sessions/cut/events*",
        lambda route: route.fulfill(body=f"id: 1\ndata: {json.dumps(ended)}\n\n", content_type="text/event-stream"),
    )
    page.evaluate("location.hash = 'cut'")
    expect(page.locator("#banners")).to_contain_text("Missing: words from 1:00 to 1:40.")


def test_who_takes_a_word_back_by_keyboard_stays_in_its_line(open_page: Open) -> None:
    page = open_page("/")
    asked: list[dict[str, object]] = []

    def events(route: Route) -> None:
        words = [
            {
                "text": text,
                "start_sample": str(8000 * i),
                "end_sample": str(8000 * i + 4000),
                "correction": {"heard": heard},
            }
            for i, (text, heard) in enumerate([("Kubernetes", "cuban"), ("Priya", "pray")])
        ]
        if asked:
            words[0] = {**words[0], "text": "cuban", "correction": None}
        utterance = {"utterance_id": "u1", "is_final": True, "end_sample": "16000", "words": words}
        seq = 1 + len(asked)
        body = f"retry: 100\nid: {seq}\ndata: {json.dumps({'seq': str(seq), 'utterance': utterance})}\n\n"
        route.fulfill(body=body, content_type="text/event-stream")

    def undone(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={})

    page.route("**/api/sessions/kept", lambda route: route.fulfill(json={"session_id": "kept", "title": "Kept"}))
    page.route("**/api/sessions/kept/events*", events)
    page.route("**/api/sessions/kept/undo", undone)
    page.evaluate("location.hash = 'kept'")
    page.get_by_role("button", name="Kubernetes, heard as cuban: put it back").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#utterances li")).to_contain_text("cuban")
    assert asked == [{"utterance_id": "u1", "word": 0}]
    expect(page.locator("#utterances li")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # past the line's time
    expect(page.get_by_role("button", name="Priya, heard as pray: put it back")).to_be_focused()


def test_what_the_page_keeps_is_what_the_store_keeps(open_page: Open, house: House) -> None:
    page = open_page()
    session = begin(page)
    expect(page.locator("#utterances")).to_contain_text(SAID)
    finish(page)
    shown = " ".join(" ".join(page.locator("#utterances p").all_inner_texts()).split())
    kept = json.loads(house.cli("show", session, "--format", "json").stdout)
    assert shown == " ".join(segment["text"] for segment in kept["segments"])
