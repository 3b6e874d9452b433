"""What a job notes about where it ran."""

import json

import torch

import tlclass
from tlclass.experiments.provenance import machine, provenance


def test_a_job_notes_when_where_and_with_which_versions_it_ran() -> None:
    noted = json.loads(json.dumps(provenance(1.5)))
    assert noted["seconds"] == 1.5 and noted["ended"].endswith("+00:00")
    assert noted["versions"]["tlclass"] == tlclass.__version__ and noted["versions"]["torch"] == torch.__version__
    assert "CPU cores" in noted["machine"] == machine()
