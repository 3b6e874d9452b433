"""Where a fit starts: the head that a source model brings along."""

from dataclasses import replace

import torch

from tests.conftest import Job
from tlclass.experiments.pretraining import differing
from tlclass.experiments.start import head_settings, source_state, weights
from tlclass.inputs.encoding import Context, Paper
from tlclass.network.checkpoint import load_model
from tlclass.network.classifier import build_classifier
from tlclass.network.released import model_folder


def test_another_encoding_is_named_in_settings() -> None:
    assert differing(Context(), Paper()) == "encoding=context encoding.flux_scale=50.0"


def test_a_released_model_as_the_source_keeps_the_class_shares_that_it_assumes_once(settings: Job) -> None:
    """Of the twelve classes of `ztf-alerts-12`, those that a class of the BTS holds are added; AGN is left out."""
    source, released = load_model(model_folder("ztf-alerts-12")), load_model(model_folder("ztf-alerts"))
    plan = settings("arm=transfer", "source_model=ztf-alerts-12", "labels=0", "members=1")
    assert plan.source_folder == model_folder("ztf-alerts-12") and plan.source is None
    head = head_settings({"name": "source", "use_shares": True}, source, released.taxonomy)
    network = build_classifier(source.encoder, head, len(source.encoding.channels), len(released.classes), 0)
    one = replace(source, classifier=source.members[0])
    network.load_state_dict(source_state(one, head), strict=False)
    latent = torch.randn(20, network.encoder.out_features, generator=torch.Generator().manual_seed(1))
    of_target = torch.tensor(released.taxonomy.class_map(source.classes))
    with torch.no_grad():
        ours, twelve = (torch.softmax(head(latent), dim=1) for head in (network.head, source.members[0].head))
    known = twelve[:, of_target >= 0]
    added = torch.zeros_like(ours).index_add(1, of_target[of_target >= 0], known)
    torch.testing.assert_close(ours, added / added.sum(1, keepdim=True), atol=1e-5, rtol=0)
    assert weights(released, released.taxonomy) is None  # its classes are the target's
