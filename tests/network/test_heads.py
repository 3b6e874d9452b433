from typing import Any

import pytest
import torch
import yaml

from tlclass.config import CONF
from tlclass.network.heads import HEADS, SourceHead, build_head

SETTINGS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (CONF / "head").glob("*.yaml")
}
SETTINGS["source"] = {"name": "source", "source": {"name": "linear"}, "class_map": [0, 0, 1, 2, -1]}


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_head_gives_logits_per_class_and_learns(name: str) -> None:
    head = build_head(SETTINGS[name], 16, 3)
    latent = torch.randn(7, 16)
    logits = head(latent)
    assert logits.shape == (7, 3) and logits.isfinite().all()
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1, 2, 0])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert any(p.grad.abs().max() > 0 for p in head.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize("source", ["linear", "mlp"])
def test_source_head_sums_the_source_probabilities(source: str) -> None:
    class_map = [1, 0, 1, -1, 2]
    head = SourceHead(16, 3, SETTINGS[source], class_map)
    latent = torch.randn(9, 16)
    p = torch.softmax(head.source(latent), 1)
    summed = torch.stack([p[:, 1], p[:, 0] + p[:, 2], p[:, 4]], 1)
    assert torch.allclose(torch.softmax(head(latent), 1), summed / summed.sum(1, keepdim=True), atol=1e-6)


def test_the_class_map_is_not_a_weight() -> None:
    assert set(build_head(SETTINGS["source"], 4, 3).state_dict()) == {"source.output.weight", "source.output.bias"}


def test_shares_turn_balanced_probabilities_into_those_of_the_targets_mix() -> None:
    class_map, shares = [0, 0, 1, -1], [4.0, 1.0, 2.0, 0.0]
    head = SourceHead(16, 2, {"name": "linear"}, class_map, shares)
    latent = torch.randn(9, 16)
    p = torch.softmax(head.source(latent), 1) * torch.tensor(shares)
    summed = torch.stack([p[:, 0] + p[:, 1], p[:, 2]], 1)
    assert torch.allclose(torch.softmax(head(latent), 1), summed / summed.sum(1, keepdim=True), atol=1e-6)
