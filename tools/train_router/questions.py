"""Questions about meetings with what each needs, made from templates; every split has templates and words of its own.

A question is a core, in which a topic, a task or a person is filled in, with or without a cue of time before or
behind it. The splits "train", "dev" and "test" share none of the templates, cues and words below. Labels:

- experts: what must have been perceived, of EXPERTS;
- scope: "speech" or "screen" where the question says so, else "both";
- period: "recent", "beginning" or "end" where the question says so, else "any";
- tier: "compose" for what is spread over several lines, else "extract".
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from services.decoder.router import EXPERTS, PERIODS, SCOPES, TIERS

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its labels."""

    text: str
    experts: tuple[str, ...]
    scope: str
    period: str
    tier: str

    def __post_init__(self) -> None:
        known = set(self.experts) <= set(EXPERTS), self.scope in SCOPES, self.period in PERIODS, self.tier in TIERS
        if not all(known):
            raise ValueError(f"labels of {self.text!r} are not among those of the router")


WORDS: dict[str, dict[str, list[str]]] = {
    "train": {
        "topic": [
            "the budget",
            "the release",
            "the login page",
            "the new logo",
            "the contract",
            "the server migration",
            "the deadline",
            "the error rate",
            "the customer survey",
            "the office move",
            "the test results",
            "the marketing campaign",
            "the data pipeline",
            "the trial",
            "the invoice",
            "the schedule",
            "the roof",
            "the vaccine",
            "the menu",
            "the syllabus",
            "the shipment",
            "the harvest",
            "the lawsuit",
            "the budget cut",
        ],
        "task": [
            "write the report",
            "send the invitation",
            "own the checklist",
            "fix the bug",
            "book the hotel",
            "call the supplier",
            "update the website",
            "review the draft",
            "order the parts",
            "talk to legal",
        ],
        "name": ["Priya", "Tom", "Lena", "Dr. Okafor", "Marcus", "Yuki", "Sofia", "Ahmed", "Clara", "Ines"],
        "thing": ["dog", "person", "laptop", "car", "bottle", "chair", "phone", "cat", "bicycle", "cup"],
        "control": ["Save", "Submit", "Cancel", "Remember me", "Export", "Dark mode", "Notifications", "Search"],
    },
    "dev": {
        "topic": [
            "the warranty",
            "the pilot project",
            "the price list",
            "the hiring plan",
            "the backup",
            "the theatre play",
            "the water pump",
            "the grant",
            "the app store review",
            "the translation",
        ],
        "task": ["prepare the slides", "water the plants", "check the backups", "interview the candidate"],
        "name": ["Paula", "Kenji", "Oskar", "Fatima", "Ms. Reyes"],
        "thing": ["truck", "umbrella", "horse", "keyboard", "clock"],
        "control": ["Continue", "Auto-save", "Share", "Use proxy"],
    },
    "test": {
        "topic": [
            "the firmware",
            "the merger",
            "the greenhouse",
            "the parking permit",
            "the API quota",
            "the wedding cake",
            "the blood samples",
            "the satellite",
            "the exam",
            "the noise complaint",
            "the ferry",
            "the tax return",
        ],
        "task": [
            "repaint the hallway",
            "renew the certificate",
            "count the votes",
            "feed the horses",
            "sign the lease",
        ],
        "name": ["Giulia", "Noah", "Mr. Bakker", "Ngozi", "Elif", "Pavel"],
        "thing": ["bird", "suitcase", "traffic light", "banana", "television", "sheep"],
        "control": ["Publish", "Accept terms", "Airplane mode", "Download", "Two-factor login"],
    },
}

# core template: (experts, scope, tier)
_FACT = (("asr", "ocr"), "both", "extract")
_WHO = (("asr", "diarization", "ocr"), "both", "extract")
_SAID = (("asr",), "speech", "extract")
_SAID_BY = (("asr", "diarization"), "speech", "extract")
_SHOWN = (("ocr",), "screen", "extract")
_CONTROL = (("ocr", "gui"), "screen", "extract")
_THING = (("objects",), "screen", "extract")
_COMPOSE = (("asr", "diarization", "ocr"), "both", "compose")
_SAID_COMPOSE = (("asr", "diarization"), "speech", "compose")
_SHOWN_COMPOSE = (("ocr",), "screen", "compose")
_Label = tuple[tuple[str, ...], str, str]

_CORES: dict[str, list[tuple[_Label, list[str]]]] = {
    "train": [
        (
            _FACT,
            [
                "When is {topic} due?",
                "How much is {topic}?",
                "What is the status of {topic}?",
                "Which number belongs to {topic}?",
                "Why is {topic} late?",
                "What is the date of {topic}?",
                "Where is {topic}?",
                "How long will {topic} take?",
                "What does {topic} cost?",
                "What is the name of {topic}?",
                "Is {topic} finished?",
                "How many people work on {topic}?",
                "What is wrong with {topic}?",
                "Which version of {topic} is it?",
                "What happens to {topic} next week?",
                "Has {topic} been approved?",
                "What is the address of {topic}?",
                "When does {topic} begin?",
            ],
        ),
        (
            _WHO,
            [
                "Who is responsible for {topic}?",
                "Who will {task}?",
                "Who has to {task}?",
                "Who owns {topic}?",
                "Whose job is it to {task}?",
                "Who takes care of {topic}?",
            ],
        ),
        (
            _SAID,
            [
                "What was said about {topic}?",
                "Was {topic} mentioned?",
                "Did anybody talk about {topic}?",
                "Was {topic} discussed in the conversation?",
                "What did they say about {topic}?",
                "What have I missed them saying about {topic}?",
                "Quote what was said on {topic}.",
                "Did we hear anything about {topic}?",
            ],
        ),
        (
            _SAID_BY,
            [
                "What did {name} say about {topic}?",
                "Who said that {topic} is late?",
                "Did {name} mention {topic}?",
                "What does {name} think about {topic}?",
                "What did {name} promise?",
                "Who asked about {topic}?",
                "What did {name} answer when asked about {topic}?",
                "Did {name} agree to {task}?",
                "Who complained about {topic}?",
                "Who was speaking about {topic}?",
                "What was {name}'s question?",
                "Did {name} say anything about wanting to {task}?",
            ],
        ),
        (
            _SHOWN,
            [
                "What does the slide say about {topic}?",
                "What is written on the screen about {topic}?",
                "Which error message was on the screen?",
                "What was the title of the slide?",
                "Read the table on the slide.",
                "What is shown on screen for {topic}?",
                "What is the third bullet point on the slide?",
                "What did the presentation show for {topic}?",
                "Which link was displayed?",
                "What text is in the screenshot?",
                "What number does the chart show for {topic}?",
                "What is the file name on the screen?",
                "Which slide was about {topic}?",
            ],
        ),
        (
            _CONTROL,
            [
                "Which button is highlighted?",
                "Is the {control} checkbox ticked?",
                "Where is the {control} button?",
                "Which tab is selected?",
                "Is the {control} switch on?",
                "What is typed into the {control} field?",
                "Which menu item is open?",
                "Is the {control} button greyed out?",
                "What icons are in the toolbar?",
                "Which radio button is chosen next to {control}?",
            ],
        ),
        (
            _THING,
            [
                "Is there a {thing} in the picture?",
                "How many people can be seen in the video?",
                "Can you see a {thing}?",
                "Where in the image is the {thing}?",
                "What objects are in the photo?",
                "What is standing next to the {thing} in the photo?",
                "Was a {thing} visible on camera?",
            ],
        ),
        (
            _COMPOSE,
            [
                "Summarise the meeting.",
                "What were the decisions?",
                "List all action items.",
                "What are the open questions?",
                "Give me an overview of {topic}.",
                "What are the next steps for everyone?",
                "Summarise everything about {topic}.",
                "What are the pros and cons of {topic}?",
                "Write the minutes.",
                "What topics came up?",
                "Compare the options for {topic}.",
                "What has changed since the start with {topic}?",
                "Make a list of all tasks.",
            ],
        ),
        (
            _SAID_COMPOSE,
            [
                "Summarise what {name} said.",
                "What was the discussion about {topic} like? Summarise it.",
                "List everything that {name} talked about.",
                "Summarise the conversation between {name} and the others.",
                "Give me all arguments that were said against {topic}.",
            ],
        ),
        (
            _SHOWN_COMPOSE,
            [
                "Summarise the slides.",
                "List all slides that were shown.",
                "Give an overview of everything on the screen.",
                "Summarise the document on the screen.",
                "List all error messages that were shown on screen.",
            ],
        ),
    ],
    "dev": [
        (
            _FACT,
            [
                "What's the deadline for {topic}?",
                "At what price did we settle for {topic}?",
                "How far along is {topic}?",
                "For which day is {topic} planned?",
                "What's the reason for stopping {topic}?",
            ],
        ),
        (_WHO, ["Which person is in charge of {topic}?", "Who's going to {task}?"]),
        (_SAID, ["Did someone bring up {topic}?", "What did people say regarding {topic}?"]),
        (
            _SAID_BY,
            [
                "What's {name}'s view of {topic}?",
                "Who brought up {topic}?",
                "Did {name} offer to {task}?",
                "How did {name} reply about {topic}?",
            ],
        ),
        (
            _SHOWN,
            [
                "What could be read on the slide on {topic}?",
                "What's the heading on the screen?",
                "Which value did the slide give for {topic}?",
                "What did the shared screen show?",
            ],
        ),
        (
            _CONTROL,
            ["Is {control} checked?", "Which button is active?", "What does the dropdown next to {control} say?"],
        ),
        (_THING, ["Is a {thing} visible in the picture?", "How many {thing}s are in the photo?"]),
        (
            _COMPOSE,
            [
                "Give me a summary of {topic}.",
                "What did we decide overall?",
                "Which tasks came out of this meeting?",
                "Recap the meeting for me.",
            ],
        ),
        (_SAID_COMPOSE, ["Give me a summary of what {name} told us.", "Recap what was said about {topic}."]),
        (_SHOWN_COMPOSE, ["Give me a summary of the slides.", "Recap all that the screen showed."]),
    ],
    "test": [
        (
            _FACT,
            [
                "By when must {topic} be ready?",
                "What will {topic} set us back in euros?",
                "What is the plan for {topic}?",
                "How big is {topic}?",
                "On which floor is {topic}?",
                "What caused the trouble with {topic}?",
                "Is {topic} still going ahead?",
                "What percentage of {topic} is done?",
                "How often is {topic} checked?",
                "Which colour does {topic} have?",
            ],
        ),
        (
            _WHO,
            ["Who volunteered to {task}?", "Who is supposed to look after {topic}?", "Who do I contact about {topic}?"],
        ),
        (
            _SAID,
            [
                "Has anyone spoken about {topic}?",
                "Did the word about {topic} come up in the talk?",
                "What were the exact words about {topic}?",
                "What did I hear about {topic}?",
            ],
        ),
        (
            _SAID_BY,
            [
                "What did {name} tell us about {topic}?",
                "Did {name} object to {topic}?",
                "Who raised the issue of {topic}?",
                "What is {name}'s opinion of {topic}?",
                "Which speaker talked about {topic}?",
                "What did {name} want to know?",
                "What reason did {name} give?",
            ],
        ),
        (
            _SHOWN,
            [
                "According to the slide, how is {topic} doing?",
                "What words appear on the screen next to {topic}?",
                "What does it say in the top row of the table on screen?",
                "Which figure did the slide name for {topic}?",
                "What did the error dialog on the screen say?",
                "Which web address did they show on the screen?",
            ],
        ),
        (
            _CONTROL,
            [
                "Has the {control} box been ticked?",
                "Which of the buttons is disabled?",
                "What colour is the {control} button?",
                "Which entry of the menu is selected?",
            ],
        ),
        (
            _THING,
            [
                "Do you see any {thing} in the image?",
                "What animals appear in the picture?",
                "How many persons are in front of the camera?",
            ],
        ),
        (
            _COMPOSE,
            [
                "What is the gist of the meeting?",
                "Bring me up to speed on {topic}.",
                "Which to-dos do we have now?",
                "Sum up the main points.",
                "What remains unresolved?",
            ],
        ),
        (_SAID_COMPOSE, ["Sum up {name}'s contributions.", "Condense what everybody said on {topic}."]),
        (_SHOWN_COMPOSE, ["Sum up what was on the slides.", "Which slides did we go through? List them."]),
    ],
}

# What tells the time, behind or before the core.
CUES: dict[str, dict[str, list[str]]] = {
    "train": {
        "recent": [
            "just now", "in the last few minutes", "a moment ago", "most recently", "right now", "recently",
            "a minute ago", "at the moment", "lately", "in the latest part", "currently", "a few minutes ago",
            "two minutes ago", "moments ago", "not long ago", "these last minutes", "in the past minutes",
            "very recently", "while I was away for a minute", "since a few minutes", "in this instant", "as of now",
            "only just", "only a moment before", "in the most recent part", "in the past little while",
            "half a minute ago",
            "during the latest minutes", "just a bit ago", "in the last moments", "in the last bit",
            "the last thing before this",
        ],
        "beginning": [
            "at the beginning", "at the start of the meeting", "in the introduction", "when the meeting started",
            "early on", "in the first part", "at first", "in the opening minutes", "initially", "in the first minutes",
            "right at the start", "at the very beginning", "during the introduction", "when we started",
            "when the call began", "as the first topic", "in the early part of the meeting", "to begin with",
            "at the opening of the meeting", "in the opening remarks", "first of all", "when everyone had just joined",
            "early in the meeting", "in the first half of the meeting", "as we were starting", "during the welcome",
            "in the beginning of the conversation", "before anything else", "from the first minute",
            "as they were getting started",
        ],
        "end": [
            "at the end", "towards the end of the meeting", "in the closing remarks", "before everyone left",
            "in the final part", "at the very end", "when the meeting closed", "in the last part of the meeting",
            "in closing", "as the last topic", "at the end of the call", "just before the meeting ended",
            "when we finished", "as the final point", "during the closing", "in the conclusion",
            "finally, as we closed",
            "before we said goodbye", "in the final remarks", "as the meeting came to its end",
            "when wrapping everything up",
            "in the second half, near its end", "late in the meeting", "shortly before the end",
            "at the conclusion of the meeting",
            "when people were leaving", "as a last thing", "before the call was over", "as everyone said goodbye",
            "in the last remarks of the meeting",
        ],
    },
    "dev": {
        "recent": [
            "within the last minutes", "just a second ago", "now", "some minutes ago", "in the newest part",
            "this minute",
            "a little while back", "over the past few minutes", "since I last looked", "as we speak", "just this instant",
            "in the freshest part", "the moment before this", "a couple of sentences ago",
        ],
        "beginning": [
            "in the beginning", "at the start", "when we began", "during the opening part", "as an introduction",
            "when they kicked off", "in the initial minutes", "before the first topic", "at kickoff", "right off the bat", "at the top of the meeting",
            "when the session opened", "for starters", "out of the gate",
        ],
        "end": [
            "near the end", "in the end of the call", "as we finished", "when it ended", "in the last section",
            "as a closing point", "as people logged off", "when we were done", "in the parting words", "at the finish", "at the tail end",
            "when all was said and done", "before the line went dead", "as the last item on the agenda",
        ],
    },
    "test": {
        "recent": ["in the past couple of minutes", "a few seconds ago", "a short while ago", "this very moment"],
        "beginning": ["at the outset", "during the first minutes", "as the meeting got going", "in the opening"],
        "end": ["at the close of the meeting", "during the final minutes", "right before we hung up", "in the wrap-up"],
    },
}  # fmt: skip


def questions(split: str, count: int, seed: int) -> list[Asked]:
    """`count` different questions of a split, the same ones for the same seed."""
    chosen = random.Random(f"{split}-{seed}")
    made: dict[str, Asked] = {}
    for asked in _endless(split, chosen):
        made.setdefault(asked.text, asked)
        if len(made) == count:
            break
    return list(made.values())


def _endless(split: str, chosen: random.Random) -> Iterator[Asked]:
    words, cores, cues = WORDS[split], _CORES[split], CUES[split]
    # A kind of question is as frequent as its templates are many: facts are what people ask most.
    kinds = [(label, template) for label, templates in cores for template in templates]
    while True:
        (experts, scope, tier), template = chosen.choice(kinds)
        core = template.format(**{slot: chosen.choice(options) for slot, options in words.items()})
        period = chosen.choice(("any", "any", "any", "recent", "beginning", "end"))
        text = core if period == "any" else _with_cue(core, chosen.choice(cues[period]), chosen)
        yield Asked(_spoken(text, chosen), experts, scope, period, tier)


def _with_cue(core: str, cue: str, chosen: random.Random) -> str:
    if chosen.random() < 0.3:
        return f"{cue[0].upper()}{cue[1:]}, {core[0].lower()}{core[1:]}"
    return f"{core[:-1]} {cue}{core[-1]}"


def _spoken(text: str, chosen: random.Random) -> str:
    """Some people type without capitals and marks."""
    return text.rstrip("?.").lower() if chosen.random() < 0.2 else text
