"""GRU and transformer on the recommended recipe: macro AUROC on the target's test part, and training times.

    python benchmarks/encoders.py --folder results/encoders --data FOLDER --jobs 16
    python benchmarks/encoders.py --folder /tmp/tiny --target bts_simulated --small     (a minute: does it run?)

One network per seed, pretrained with that seed, so that labels=0 varies too. Run again, it goes on where it stopped, and prints the
table of what is there. Simulated source light curves; the target is what `--target` says.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

ENCODERS = ("gru", "transformer")
SMALL = [
    *(f"source.reader.parts.{part}.n_objects=150" for part in ("faint", "bright", "deep")),
    *("target.n_objects=400", "pretrain.fit.max_epochs=1", "fit.max_epochs=2", "fit.min_steps=0"),
]


def command(encoder: str, given: argparse.Namespace) -> list[str]:
    """The sweep of one encoder."""
    words = [
        *("experiment=best_transfer", "arm=transfer", f"target={given.target}", f"model={encoder}"),
        *(
            f"labels={given.labels}",
            f"seed={given.seeds}",
            "pretrain.seed=${seed}",
            "members=1",
        ),
        *(f"experiment_name={encoder}", f"paths.results={given.folder}", f"paths.data={given.data}"),
        *(f"paths.models={given.folder / 'models'}", "logger=none", "progress=false", f"trainer={given.trainer}"),
        *(["launcher=joblib", f"launcher.n_jobs={given.jobs}"] if given.jobs > 1 else []),
        *([f"paths.cache={given.cache}"] if given.cache else []),
        *(SMALL if given.small else []),
        *given.words,
    ]
    return [sys.executable, "-m", "tlclass.train", "-m", *words]


def rows(folder: Path) -> pd.DataFrame:
    """One row per finished job: encoder, labels, seed, score, seconds."""
    found = []
    for encoder in ENCODERS:
        for path in sorted((folder / encoder).rglob("result.json")):
            row = json.loads(path.read_text())
            seconds = json.loads((path.parent / "timing.json").read_text())["seconds"]
            found.append(
                {"encoder": encoder, "labels": row["labels"], "seed": row["seed"], "auroc_macro": row["auroc_macro"]}
                | {"parameters": row["parameters"], "seconds": seconds}
            )
    return pd.DataFrame(found)


def pretraining(folder: Path) -> pd.DataFrame:
    """One row per source model: encoder, held-out macro AUROC on simulated light curves, epochs, seconds of its fit."""
    found = []
    for path in sorted((folder / "models").rglob("result.json")):
        row, history = (json.loads((path.parent / name).read_text()) for name in ("result.json", "history.json"))
        about = {"encoder": row["encoder"], "held_out_auroc": row["auroc_macro"], "epochs": row["epochs"]}
        found.append(about | {"seconds": history[-1]["seconds"]})
    return pd.DataFrame(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for results and source models")
    parser.add_argument("--data", default="data", help="raw survey files (paths.data)")
    parser.add_argument("--cache", help="parsed surveys (paths.cache)")
    parser.add_argument("--target", default="bts")
    parser.add_argument("--labels", default="0,100,1000")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--trainer", default="cpu")
    parser.add_argument("--small", action="store_true", help="a tiny source and short fits")
    parser.add_argument("--encoders", default=",".join(ENCODERS))
    parser.add_argument("--report", action="store_true", help="only print what is there")
    parser.add_argument("words", nargs="*", help="more words for tlclass.train, after --")
    given = parser.parse_args(arguments)
    codes = [] if given.report else [subprocess.call(command(name, given)) for name in given.encoders.split(",")]
    table = rows(given.folder)
    if len(table):
        columns = {"auroc_macro": ["mean", "std", "count"], "seconds": ["mean"], "parameters": ["first"]}
        print(table.groupby(["labels", "encoder"]).agg(columns).round(4).to_string())
        print(pretraining(given.folder).groupby("encoder").agg(["mean", "count"]).round(3).to_string())
    raise SystemExit(max(codes, default=0))


if __name__ == "__main__":
    main()
