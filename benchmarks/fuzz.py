"""Damaged, odd and hostile inputs of every format: each is read rightly or refused in one sentence.

    python -m benchmarks.fuzz --n 10000 --seed 0 [--kind csv] [--keep FOLDER]

Inputs run in a process of their own with limits of memory and time, replaced when it dies, through `tlclass.predict` or a reader. Prints per
kind of input what came of it, and the failures with their numbers; `--seed S --only N` repeats one. Exit code 1: there
was a failure. Failures are: a traceback, a message that is not one short sentence or does not name the file, a crash, too much
memory or time, probabilities that are not finite, and light curves from a cache that are not those written.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import pickle
import resource
import shutil
import sys
import tarfile
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
from omegaconf import OmegaConf

from benchmarks.mutations import CELLS, VALUES, Draw, changed, damaged, retyped, retyped_text
from tests.conftest import equal_curves, make_curves
from tests.data import raw_alerts, raw_pickles, raw_snana, raw_snana_text, raw_surveys, raw_tables
from tlclass import predict
from tlclass.config import CONF
from tlclass.experiments.cards import build_survey
from tlclass.inputs.encoding import encoding_from
from tlclass.lightcurves import arrow
from tlclass.lightcurves.curves import check
from tlclass.lightcurves.passbands import Passbands
from tlclass.lightcurves.selection import Photometry, Selection, Trigger
from tlclass.lightcurves.taxonomy import Taxonomy
from tlclass.network.checkpoint import DESCRIPTION, WEIGHTS, TrainedModel, load_model, save_model
from tlclass.network.classifier import build_classifier
from tlclass.options import MISTAKES
from tlclass.surveys import PlasticcCSV, Table, ZTFSims, ZTFSimTables
from tlclass.surveys.survey import cached

MEMORY = 1_500_000_000  # bytes beyond what the process has
SECONDS = 20  # of the processor
LONGEST = 1200  # characters of a message
BATCH = 200  # inputs that one process works on
READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        make: writes a good input into a folder.
        spoil: changes it there.
        use: reads it; gives what came of it, raises `MISTAKES` for a refusal.
    """

    make: Callable[[Path], None]
    spoil: Callable[[Path, Draw], None]
    use: Callable[[Path], str]


def passbands(name: str) -> Passbands:
    table: Any = OmegaConf.to_container(OmegaConf.load(CONF / "passbands" / f"{name}.yaml"))
    return Passbands.from_mapping(table["table"])


def write_model(folder: Path, survey: str) -> None:
    """An untrained model for the passbands of a survey, all of whose light curves it classifies."""
    encoder = {
        "name": "gru",
        "hidden": 5,
        "layers": 1,
        "dense": 4,
        "latent": 4,
        "metadata": ["mwebv"],
        "metadata_units": 2,
    }
    encoding = encoding_from({"name": "paper"})
    classifier = build_classifier(encoder, {"name": "linear"}, len(encoding.channels), 2, 1)
    selection = Selection(Photometry("forced"), Trigger("first_detection"), [-30.0, 70.0], 1, 100)
    taxonomy = Taxonomy({"SN Ia": ["SN Ia*"], "SN II": []})
    save_model(
        TrainedModel(classifier, encoder, {"name": "linear"}, encoding, passbands(survey), taxonomy, selection, survey, True, {}, {}), folder
    )  # fmt: skip


def predicted(model: Path, source: Path) -> str:
    """What `tlclass.predict` makes of it."""
    out = source.parent.parent / "out.parquet"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            predict.main([str(model), str(source), "-o", str(out)])
    except SystemExit as end:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
        if end.code != 2 or len(lines) != 1:
            raise AssertionError(f"exit {end.code}: {said.getvalue()[-300:]}") from None
        if said.getvalue().strip().splitlines()[-1] != lines[0]:
            raise AssertionError(f"not one sentence: {said.getvalue()[-600:]}") from None
        raise ValueError(lines[0].removeprefix("error: ")) from None
    table = pq.read_table(out)
    for name in [name for name in table.column_names if name.startswith("p(")]:
        values = table[name].drop_null().to_numpy()
        assert np.isfinite(values).all() and ((values >= 0) & (values <= 1)).all(), f"{name} is {values}"
    assert table["class"].null_count == table["p(SN Ia)"].null_count
    return READ


def frame() -> pd.DataFrame:
    return raw_tables.alerts(4)


def file_of(folder: Path, draw: Draw) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return files[draw.integers(len(files))]


def spoil_bytes(folder: Path, draw: Draw) -> None:
    path = file_of(folder, draw)
    path.write_bytes(damaged(path.read_bytes(), draw))


def spoil_text(folder: Path, draw: Draw) -> None:
    if draw.random() < 0.3:
        return spoil_bytes(folder, draw)
    path = file_of(folder, draw)
    packed = path.name.endswith(".gz")
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    text = retyped_text(content.decode(), draw, " " if path.suffix == ".dat" else ",").encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    return None


def spoil_parquet(folder: Path, draw: Draw) -> None:
    if draw.random() < 0.35:
        return spoil_bytes(folder, draw)
    path = file_of(folder, draw)
    content = path.read_bytes()
    try:
        pq.write_table(retyped(pq.read_table(path), draw), path)
    except (pa.ArrowException, ValueError):  # a type that Parquet has not
        path.write_bytes(damaged(content, draw))
    return None


def spoil_arrow(folder: Path, draw: Draw) -> None:
    path = file_of(folder, draw)
    if draw.random() < 0.6:
        return spoil_bytes(folder, draw)
    table = retyped(pa.ipc.open_file(path.read_bytes()).read_all(), draw)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return None


def spoil_packets(folder: Path, draw: Draw) -> None:
    if draw.random() < 0.4:
        return spoil_bytes(folder, draw)
    path = file_of(folder, draw)
    with path.open("rb") as file:
        reader = fastavro.reader(file)
        schema, packets = reader.writer_schema, list(reader)
    packets = [changed(packet, draw) if draw.random() < 0.7 else packet for packet in packets]
    loose = json.loads(json.dumps(schema).replace('"double"', '["double", "null", "string", "boolean"]'))
    for attempt in (schema, loose):
        try:
            with io.BytesIO() as stream:
                fastavro.writer(stream, attempt, packets, strict_allow_default=False)
                path.write_bytes(stream.getvalue())
            return None
        except Exception:  # the value does not fit the schema
            continue
    return spoil_bytes(folder, draw)


def spoil_pickles(folder: Path, draw: Draw) -> None:
    path = file_of(folder, draw)
    if draw.random() < 0.6:
        path.write_bytes(damaged(path.read_bytes(), draw))
    else:
        content = pickle.loads(path.read_bytes())
        if draw.random() < 0.3:
            content = [VALUES[draw.integers(len(VALUES))]] * int(draw.integers(0, 3))
        else:
            content = changed(content, draw)
        path.write_bytes(pickle.dumps(content, protocol=int(draw.integers(3, 6))))


def spoil_model(folder: Path, draw: Draw) -> None:
    about = json.loads((folder / DESCRIPTION).read_text())
    choice = draw.random()
    if choice < 0.3:
        return spoil_bytes(folder, draw)
    if choice < 0.75:
        about = changed_plain(about, draw)
    else:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
        name = list(tensors)[draw.integers(len(tensors))]
        tensor = tensors[name].flatten()
        tensor[draw.integers(len(tensor))] = [float("nan"), float("inf"), 3e38, -3e38, 1e-40][draw.integers(5)]
        tensors[name] = tensor if draw.random() < 0.2 else tensor.reshape(tensors[name].shape)
        safetensors.torch.save_file(tensors, folder / WEIGHTS)
        about["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps(about))
    return None


def changed_plain(about: Any, draw: Draw) -> Any:
    """`changed` into what JSON can hold."""
    while True:
        found = changed(about, draw)
        try:
            json.dumps(found)
        except TypeError:  # bytes
            continue
        return found


def spoil_card(folder: Path, draw: Draw) -> None:
    path = folder / "card.json"
    about = json.dumps(changed_plain(json.loads(path.read_text()), draw))
    names = ["os.system", "tlclass.atomic.os.system", "eval", "tlclass.surveys.Nested"]
    if draw.random() < 0.3:
        about = about.replace("tlclass.surveys.Table", names[draw.integers(len(names))])
    path.write_text(about)


def spoil_place(folder: Path, draw: Draw) -> None:
    """What is no ordinary file."""
    path = folder / "observations.csv"
    path.unlink()
    odd = draw.integers(7)
    if odd == 0:
        path.symlink_to(path)
    elif odd == 1:
        (folder / "a").symlink_to(folder)
    elif odd == 2:
        path.mkdir()
    elif odd == 3:
        os.mkfifo(path)
    elif odd == 4:
        path.write_bytes(b"")
    elif odd == 5:
        path.symlink_to(folder / "gone.csv")
    else:
        (folder / CELLS[draw.integers(len(CELLS) - 1)].replace("/", "_").replace("\x00", "0")).with_suffix(
            ".csv"
        ).write_text("a,b\n1,2\n")


def reads(reader: Callable[[Path], Any]) -> Callable[[Path], str]:
    def use(folder: Path) -> str:
        cached([reader(folder)], folder.parent / "cache")
        return READ

    return use


def through_cache(folder: Path) -> str:
    """The cache beside a survey is damaged: what is read must be what the files hold."""
    reader = Table(folder.parent / "raw" / "observations.csv", passbands("ztf"))
    (file,) = folder.glob("*.arrow")
    fresh = check(reader.read(), "t")
    again = arrow.read(cached([reader], folder))
    assert equal_curves(fresh, again), "the cache gave other light curves"
    assert file.exists()
    return READ


def make_cache(folder: Path) -> None:
    (folder.parent / "raw").mkdir()
    raw_tables.write(raw_tables.plain(frame()), folder.parent / "raw" / "observations.csv")
    cached([Table(folder.parent / "raw" / "observations.csv", passbands("ztf"))], folder)
    for path in folder.glob("*.lock"):
        path.unlink()


def own_arrow_is_what_was_written(folder: Path) -> str:
    path = folder / "curves.arrow"
    found = arrow.read(path)
    if arrow.intact(path):
        assert equal_curves(found, make_curves()), "other light curves under an intact checksum"
    return READ


def packed_packets(folder: Path) -> None:
    raw_alerts.write_ztf_alerts(folder / "p", 2, packets=2)
    with tarfile.open(folder / "night.tar.gz", "w:gz") as archive:
        archive.add(folder / "p", "p")
    shutil.rmtree(folder / "p")


def rubin_packets(folder: Path) -> None:
    schema, version = raw_alerts.rubin_schema("7.4"), "7.4"
    seen = [raw_alerts.rubin_seen(version, 61000.0 + k, "gr"[k % 2], 500.0 + k) for k in range(6)]
    packets = [
        raw_alerts.rubin_packet(version, 11, seen[5], seen[:3], seen[3:5]),
        raw_alerts.rubin_packet(version, 12, seen[0], (), ()),
    ]
    raw_alerts.write_packets(folder / "rubin.avro", schema, packets)


def snana_fits(packed: bool) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        draw = np.random.default_rng(3)
        curves = {}
        for name in ("1", "2"):
            curve = raw_surveys.light_curve("SN Ia", raw_snana.BANDS, draw)
            curves[name] = curve | {"photflag": raw_snana.flags(curve)}
        raw_snana.write_pair(folder / "MODEL_A", "A_NONIa-0001", curves, packed=packed)

    return make


def pickled(folder: Path, lists: bool) -> None:
    if lists:
        raw_pickles.write_lists(folder)
    else:
        raw_pickles.write_tables(folder)
        for path in sorted(folder.iterdir())[2:]:
            path.unlink()


def write_card(folder: Path) -> None:
    from tests.conftest import compose

    (folder / "card.json").write_text(json.dumps(compose(["target=table"])["target"]))


def use_card(folder: Path) -> str:
    build_survey(json.loads((folder / "card.json").read_text()))
    return READ


def tables(layout: Callable[[pd.DataFrame], pd.DataFrame], name: str) -> Callable[[Path], None]:
    return lambda folder: raw_tables.write(layout(frame()), folder / name) and None


def packed_csv(folder: Path) -> None:
    path = raw_tables.write(raw_tables.ztf(frame()), folder / "observations.csv")
    (folder / "observations.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def folder_of_tables(folder: Path) -> None:
    raw_tables.write(raw_tables.alerce(frame()), folder / "alerce.csv")
    raw_tables.write(raw_tables.explorer(frame()), folder / "explorer.csv")


def nested(form: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        rows = frame()
        about = rows[["object_id", "class"]].drop_duplicates()
        raw_tables.write_nested(raw_tables.plain(rows), about, folder / "nested.parquet", form)

    return make


def two_models(work: Path) -> tuple[Path, Path]:
    for name in ("ztf", "lsst"):
        write_model(work / name, name)
    return work / "ztf", work / "lsst"


def authors_lists(folder: Path) -> ZTFSims:
    return ZTFSims(folder, passbands("ztf"), raw_pickles.WRITTEN)


def kinds(work: Path) -> dict[str, Kind]:
    """All kinds of input; the models they are classified with are written into `work`."""
    ztf, lsst = two_models(work)

    def by(model: Path, name: str = "") -> Callable[[Path], str]:
        return lambda folder: predicted(model, folder / name if name else folder)

    csv, parquet = "observations.csv", "observations.parquet"
    return {
        "csv": Kind(tables(raw_tables.plain, csv), spoil_text, by(ztf, csv)),
        "csv of magnitudes": Kind(tables(raw_tables.lasair, csv), spoil_text, by(ztf, csv)),
        "csv packed": Kind(packed_csv, spoil_text, by(ztf, "observations.csv.gz")),
        "folder of tables": Kind(folder_of_tables, spoil_text, by(ztf)),
        "parquet": Kind(tables(raw_tables.plain, parquet), spoil_parquet, by(ztf, parquet)),
        "parquet of magnitudes": Kind(tables(raw_tables.fink, parquet), spoil_parquet, by(ztf, parquet)),
        "nested lists": Kind(nested("lists"), spoil_parquet, by(ztf)),
        "nested structs": Kind(nested("list of structs"), spoil_parquet, by(ztf)),
        "own parquet": Kind(lambda folder: arrow.write(make_curves(), folder / "c.parquet"), spoil_parquet, by(ztf)),
        "own arrow": Kind(lambda folder: arrow.write(make_curves(), folder / "c.arrow"), spoil_arrow, by(ztf, "c.arrow")),
        "own arrow, contents": Kind(lambda folder: arrow.write(make_curves(), folder / "curves.arrow"), spoil_bytes, own_arrow_is_what_was_written),
        "cache": Kind(make_cache, spoil_bytes, through_cache),
        "ZTF packets": Kind(lambda folder: raw_alerts.write_ztf_alerts(folder, 1, packets=2), spoil_packets, by(ztf)),
        "ZTF packets packed": Kind(packed_packets, spoil_bytes, by(ztf)),
        "Rubin packets": Kind(rubin_packets, spoil_packets, by(lsst)),
        "SNANA FITS": Kind(snana_fits(False), spoil_bytes, by(lsst)),
        "SNANA FITS packed": Kind(snana_fits(True), spoil_bytes, by(lsst)),
        "SNANA FITS headers": Kind(snana_fits(False), spoil_header, by(lsst)),
        "SNANA text": Kind(snana_text, spoil_text, by(lsst)),
        "pickled lists": Kind(lambda folder: pickled(folder, True), spoil_pickles, reads(authors_lists)),
        "pickled tables": Kind(lambda folder: pickled(folder, False), spoil_pickles, reads(lambda folder: ZTFSimTables(folder, passbands("ztf")))),
        "PLAsTiCC": Kind(plasticc, spoil_text, reads(lambda folder: PlasticcCSV(folder, passbands("lsst")))),
        "model files": Kind(lambda folder: write_model(folder, "ztf"), spoil_model, use_model(work)),
        "survey card": Kind(write_card, spoil_card, use_card),
        "no ordinary file": Kind(tables(raw_tables.plain, csv), spoil_place, by(ztf)),
    }  # fmt: skip


def spoil_header(folder: Path, draw: Draw) -> None:
    """Cards of a FITS header, 80 bytes each."""
    path = file_of(folder, draw)
    content = bytearray(path.read_bytes())
    for _ in range(draw.integers(1, 4)):
        card = 80 * int(draw.integers(min(200, len(content) // 80)))
        word = [
            b"9" * 20,
            b"-5",
            b"'",
            b"T",
            b"1E400",
            b"\xff\xfe",
            b"'9999999999A'",
            b"'1PE(5)'",
            b"",
            b"NAXIS2  =  99999999999",
        ]
        place = card + int(draw.integers(0, 30))
        new = word[draw.integers(len(word))].ljust(20)[: 80 - (place - card)]
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))


def snana_text(folder: Path) -> None:
    raw_snana_text.write_snana_text(folder)
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.name not in ("SNIa_000001.dat", "SNII_000002.dat"):
            path.unlink()


def plasticc(folder: Path) -> None:
    raw_surveys.write_plasticc(folder)
    for path in folder.glob("*.parquet"):
        path.unlink()


def use_model(work: Path) -> Callable[[Path], str]:
    curves = work / "curves.arrow"
    arrow.write(make_curves(), curves)

    def use(folder: Path) -> str:
        load_model(folder)
        return predicted(folder, curves)

    return use


def attempt(kind: Kind, template: Path, folder: Path, seed: Sequence[int]) -> str:
    """Copy, spoil and use one input in this process; what came of it."""
    place = folder / "in"
    shutil.copytree(template, folder, symlinks=True)
    kind.spoil(place, np.random.default_rng(seed))
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + SECONDS, hard))
    try:
        return kind.use(place)
    except MISTAKES as error:
        said = str(error)
        if "\n" in said or len(said) > LONGEST:
            return f"FAILED: {len(said)} characters, {said.count(chr(10)) + 1} lines: {said[:300]!r}"
        names = ("survey card", "curves.arrow", "passband ztf", str(folder), *(path.name for path in place.rglob("*")))
        return REFUSED if any(name in said for name in names) else f"FAILED: names no file: {said} at {_where(error)}"
    except BaseException as error:
        return f"FAILED: {type(error).__name__}: {str(error)[:300]} at {_where(error)}"


def _where(error: BaseException) -> str:
    chain: list[str] = []
    one: BaseException | None = error
    while one is not None:
        frames = traceback.extract_tb(one.__traceback__)
        chain += [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "/tlclass/" in frame.filename][
            -3:
        ]
        one = one.__cause__ or one.__context__
    return " ".join(chain)


def sound(kind: Kind, place: Path, title: str) -> None:
    """The unspoilt input must be read: else nothing is tried."""
    try:
        outcome = kind.use(place)
    except MISTAKES as error:
        outcome = str(error)
    if outcome != READ:
        raise AssertionError(f"{title}: the good input is not read: {outcome}")


def work_on(numbers: Sequence[int], chosen: Mapping[str, Kind], work: Path, seed: int, into: int) -> None:
    """Try the inputs of these numbers in this process, with a limit of memory, and write an outcome per line."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY,) * 2)
    for number in numbers:
        title = list(chosen)[number % len(chosen)]
        outcome = attempt(chosen[title], work / "templates" / title, work / str(number), [seed, number])
        os.write(into, outcome.replace("\n", " ").encode(errors="replace")[:2000] + b"\n")


def outcomes(numbers: Sequence[int], chosen: Mapping[str, Kind], work: Path, seed: int) -> Iterator[tuple[int, str]]:
    """What came of each input; the process that works on them is replaced when it dies."""
    left = list(numbers)
    while left:
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(out)
                with open(os.devnull, "w") as null:  # noqa: PTH123
                    os.dup2(null.fileno(), 2)
                warnings.simplefilter("ignore")
                work_on(left[:BATCH], chosen, work, seed, into)
            except BaseException as error:  # of the benchmark itself
                os.write(into, f"BROKEN: {error!r} {traceback.format_exc()[-800:]!r}\n".encode())
            finally:
                os._exit(0)
        os.close(into)
        batch, done, broken = left[:BATCH], 0, False
        with os.fdopen(out, "rb") as pipe:
            for line in pipe:
                yield batch[done], line.decode().rstrip("\n")
                done, broken = done + 1, line.startswith(b"BROKEN")
        _, status = os.waitpid(child, 0)
        if done < len(batch) and not broken:
            yield batch[done], f"FAILED: the process ended with {os.waitstatus_to_exitcode(status)}"
            done += 1
        left = left[done:]


def run(
    n: int, seed: int, wanted: str = "", only: int | None = None, keep: Path | None = None
) -> tuple[dict[str, Counter[str]], list[str]]:
    """Outcomes by kind of input, and a line for each failure."""
    counts: dict[str, Counter[str]] = {}
    failures = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        chosen = {one: kind for one, kind in kinds(work / "models").items() if wanted in one}
        for title, kind in chosen.items():
            (work / "templates" / title / "in").mkdir(parents=True)
            kind.make(work / "templates" / title / "in")
            sound(kind, work / "templates" / title / "in", title)
        numbers = range(n) if only is None else [only]
        for number, outcome in outcomes(numbers, chosen, work, seed):
            title, folder = list(chosen)[number % len(chosen)], work / str(number)
            counts.setdefault(title, Counter())[outcome.partition(":")[0]] += 1
            if outcome not in (READ, REFUSED):
                failures.append(f"{title} (--seed {seed} --kind '{wanted}' --only {number}) {outcome}")
                print(failures[-1], file=sys.stderr, flush=True)
                if keep is not None and folder.is_dir():
                    shutil.copytree(folder, keep / str(number), symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
    return counts, failures


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="number of inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", default="", help="part of the name of the kinds to try; all if left out")
    parser.add_argument("--only", type=int, help="number of one input to repeat")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that failed")
    given = parser.parse_args()
    counts, failures = run(given.n, given.seed, given.kind, given.only, given.keep)
    table = pd.DataFrame(counts).T.fillna(0).astype(int)
    print(table.assign(inputs=table.sum(axis=1)).to_string())
    print(f"{len(failures)} of {int(table.to_numpy().sum())} failed")
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
