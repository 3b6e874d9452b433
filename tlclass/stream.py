"""`tlclass stream MODEL INPUT -o OUT.jsonl`: classify alerts as they arrive; go on where it stopped, whatever stopped it."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tlclass import stopping
from tlclass.logs import TIMED, log_to_terminal
from tlclass.options import CommandLine, reported_mistakes
from tlclass.serving.arguments import MODEL, add_arguments, reading_options
from tlclass.wording import in_flags

TOPIC = "kafka:"
STDIN = STDOUT = "-"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; mistakes end with one sentence and exit code 2, a signal with 128 + its number after the last commit."""
    given = _parser().parse_args(arguments)
    log_to_terminal(TIMED)
    with reported_mistakes(in_flags), stopping.noted():
        _run(given)
        stopping.check()


def _run(given: argparse.Namespace) -> None:
    import torch

    from tlclass import plugins
    from tlclass.network.released import named_model
    from tlclass.streaming.engine import Engine
    from tlclass.streaming.metrics import Metrics
    from tlclass.streaming.outputs import Lines
    from tlclass.streaming.reading import for_model
    from tlclass.streaming.run import Pace, Stream
    from tlclass.streaming.store import Store
    from tlclass.surveys.door import reader_settings

    torch.set_num_threads(1)
    letters_file = given.dead_letters or given.state / "dead_letters.jsonl"
    _refuse_own_words(given.input, given.output, given.state, letters_file)
    if Path(given.output).resolve() == letters_file.resolve():
        raise ValueError(f"{given.output} is the output and the file of dead letters: name two files")
    plugins.use(given.trust)
    model = named_model(given.model)
    engine = Engine(model, given.coverage)
    reading = for_model(model.passbands, reader_settings(reading_options(given), model.input), given.schema)
    source = _source(given, reading, model)
    identity = f"{given.model} {model.training.get('release') or model.survey} {_digest(model)}"
    pace = Pace(given.batch, given.seconds, given.min_change, given.grace, given.forget)
    with ExitStack() as stack:
        store = stack.enter_context(Store(given.state / "state.sqlite", identity))
        output: Any = _output(given, store)
        stack.callback(output.close)
        letters = Lines(letters_file, store, "dead letters")
        stack.callback(letters.close)
        Stream(model, engine, store, output, letters, Metrics(model, given.metrics_port), pace).run(source)


def _refuse_own_words(source: str, *written: str | Path) -> None:
    """Raise ValueError if the stream would read what it writes, and that again."""
    if source == STDIN or source.startswith(TOPIC):
        return
    for path in map(str, written):
        if (
            path != STDOUT
            and not path.startswith(TOPIC)
            and Path(path).resolve().is_relative_to(Path(source).resolve())
        ):
            raise ValueError(f"{path} is in the input {source} and would be read as alerts: name a place outside of it")


def _source(given: argparse.Namespace, reading: Any, model: Any) -> Any:
    from tlclass.streaming.sources import Folder, StandardInput

    if given.input == STDIN:
        return StandardInput(reading)
    if given.input.startswith(TOPIC):
        from tlclass.streaming.kafka import Topic, settings

        low, high = model.selection.window
        replay = high - low + given.grace if given.replay is None else given.replay
        return Topic(given.input.removeprefix(TOPIC).split(","), settings(given.kafka_settings), reading, replay)
    return Folder(Path(given.input), reading, given.follow)


def _output(given: argparse.Namespace, store: Any) -> Any:
    from tlclass.streaming.outputs import PREDICTIONS, Lines, Parts, StandardOutput

    if given.output == STDOUT:
        return StandardOutput()
    if given.output.startswith(TOPIC):
        from tlclass.streaming.kafka import TopicOutput, settings

        return TopicOutput(given.output.removeprefix(TOPIC), settings(given.kafka_settings), store)
    if given.output.endswith(".jsonl"):
        return Lines(Path(given.output), store, PREDICTIONS)
    if given.output.endswith(".parquet"):
        return Parts(Path(given.output), store)
    raise ValueError(f"output {given.output}: give FILE.jsonl, FOLDER.parquet, {TOPIC}TOPIC, or - for standard output")


def _digest(model: Any) -> str:
    import hashlib

    digest = hashlib.sha256(repr((model.classes, model.encoding, model.selection)).encode())
    for tensor in model.classifier.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


def _parser() -> argparse.ArgumentParser:
    parser = CommandLine(prog="tlclass stream", description=__doc__)
    add = parser.add_argument
    add("model", help=MODEL)
    add(
        "input",
        help="a folder or file of alert packets, JSON lines or tables; - for standard input; or kafka:TOPIC,TOPIC",
    )
    add("-o", "--output", required=True, help="predictions: FILE.jsonl, FOLDER.parquet, kafka:TOPIC, or -")
    add(
        "--state",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where live objects and positions are kept; one folder for each stream",
    )
    add(
        "--dead-letters",
        type=Path,
        metavar="FILE.jsonl",
        help="file for packets that cannot be used, with the reasons (dead_letters.jsonl in the folder of --state)",
    )
    add("--follow", action="store_true", help="wait for more files in the input folder")
    add(
        "--min-change",
        type=float,
        default=0.0,
        metavar="0.05",
        help="write a prediction only if a probability changed by so much or the class changed (0: every change)",
    )
    add("--coverage", type=float, metavar="0.9", help="a set of classes that holds the true one with this probability")
    add("--grace", type=float, default=30.0, metavar="DAYS", help="keep objects for DAYS after their window (30)")
    add("--forget", type=float, default=365.0, metavar="DAYS", help="keep ids of finished objects for DAYS (365)")
    add("--batch", type=int, default=256, help="largest number of arrivals between two commits (256)")
    add("--seconds", type=float, default=1.0, help="longest time between two commits, about (1)")
    add("--schema", type=Path, metavar="FILE.avsc", help="Avro schema of packets that Kafka sends without it")
    add(
        "--kafka-settings",
        type=Path,
        metavar="FILE",
        help="file of librdkafka's settings, name=value lines; environment variables TLCLASS_KAFKA_NAME take precedence",
    )
    add(
        "--replay",
        type=float,
        metavar="DAYS",
        help="when a partition is taken over from another process, read its messages of the last DAYS again (as long as objects are kept); "
        "0 for packets that hold all earlier observations",
    )
    add("--metrics-port", type=int, metavar="PORT", help="serve metrics for Prometheus")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
