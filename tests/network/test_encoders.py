"""Laws of every encoder: causal, blind to padding, one step at a time as all at once, made of the parts it states."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import compose
from tlclass.network.classifier import ENCODERS, build_classifier
from tlclass.network.encoders import (
    PART,
    Encoder,
    GRUEncoder,
    MetadataBranch,
    WideMetadataBranch,
    last_valid,
    refuse_wrong_parts,
)
from tlclass.network.initialisation import as_keras_does
from tlclass.network.transformer import TransformerEncoder, sines

CHANNELS = 5
SMALL: dict[str, dict[str, Any]] = {
    "gru": {"hidden": 8, "dense": 24, "latent": 23},
    "transformer": {"width": 8, "heads": 2, "layers": 2, "feedforward": 12, "dense": 24, "latent": 23},
    "least": {},
}


class Least(Encoder):
    """The least that an encoder is: `forward`, `out_features` and `parts`."""

    def __init__(self, n_channels: int, metadata: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.out_features, self.parts = 6, ("layer", "metadata") if metadata else ("layer",)
        self.layer = nn.Linear(n_channels, 6)
        self.metadata = MetadataBranch(len(metadata), 6) if metadata else None

    def forward(self, x: Tensor, lengths: Tensor, metadata: Tensor) -> Tensor:
        valid = torch.arange(x.shape[1]) < lengths[:, None]
        mean = (torch.relu(self.layer(x)) * valid[..., None]).sum(1) / lengths[:, None]
        return mean if self.metadata is None else mean + self.metadata(metadata)


@pytest.fixture(autouse=True)
def _least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "least", Least)


WIDE: tuple[tuple[str, dict[str, Any]], ...] = tuple(
    (name, {"metadata_small": 0.05}) for name in SMALL if name != "least"
)


@pytest.fixture(
    params=[*((name, columns, {}) for name in SMALL for columns in ((), ("mwebv", "redshift"))), *((name, ("mwebv", "redshift"), wide) for name, wide in WIDE)],
    ids=str,
)  # fmt: skip
def encoder(request: pytest.FixtureRequest) -> Encoder:
    name, columns, wide = request.param
    settings = {"name": name, "metadata": columns, **SMALL[name], **wide}
    return build_classifier(settings, {"name": "linear"}, CHANNELS, 3, seed=1).encoder.eval()


def light_curves(n: int = 6, longest: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    lengths[0], lengths[-1] = 1, longest
    x = torch.randn(n, longest, CHANNELS, generator=generator)
    return x, lengths, torch.rand(n, 2, generator=generator)


def test_a_wide_branch_is_told_what_is_unknown_and_counts_large_values_by_their_logarithm() -> None:
    branch = WideMetadataBranch(1, 3, small=0.05)
    known = torch.tensor([[0.2], [0.4], [0.8], [1.6]])
    branch.standardise_by(torch.cat([known, torch.full((2, 1), math.nan)]))
    standard = (torch.asinh(known / 0.05) - branch.mean) / branch.scale
    steps = torch.diff(standard[:, 0])
    assert steps.min() > 0.93 * steps.max()  # doubling is one step, as of magnitudes
    with torch.no_grad():
        branch.linear.weight[:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
        branch.linear.bias.zero_()
        mean = 0.05 * torch.sinh(branch.mean)
        out = branch(torch.stack([mean, torch.tensor([math.nan])]))
    assert out[:, 0] == pytest.approx(0, abs=1e-6)  # an unknown value is the mean
    assert out[:, 1].tolist() == pytest.approx([math.tanh(1), 0])


def test_every_encoder_is_tested() -> None:
    assert set(SMALL) == set(ENCODERS)


@torch.no_grad()
def test_a_light_curve_gives_the_same_alone_and_whatever_stands_in_the_padding(encoder: Encoder) -> None:
    x, lengths, metadata = light_curves()
    together = encoder(x, lengths, metadata)
    assert together.shape == (len(x), encoder.out_features) and len(torch.unique(together, dim=0)) == len(x)
    padding = torch.arange(x.shape[1]) >= lengths[:, None]
    assert torch.allclose(encoder(x.masked_fill(padding[..., None], 1e4), lengths, metadata), together, atol=1e-5)
    for k, length in enumerate(lengths.tolist()):
        alone = encoder(x[k : k + 1, :length], lengths[k : k + 1], metadata[k : k + 1])
        assert torch.allclose(alone[0], together[k], atol=1e-5)


@torch.no_grad()
def test_every_step_is_the_light_curve_truncated_there(encoder: Encoder) -> None:
    x, _, metadata = light_curves()
    steps = encoder.at_every_step(x, metadata)
    assert steps.shape == (*x.shape[:2], encoder.out_features)
    for end in range(1, x.shape[1] + 1):
        truncated = encoder(x[:, :end], torch.full((len(x),), end), metadata)
        assert torch.allclose(steps[:, end - 1], truncated, atol=1e-5), end


@torch.no_grad()
def test_one_observation_after_the_other_is_the_whole_light_curve(encoder: Encoder) -> None:
    x, _, metadata = light_curves()
    steps, state = encoder.at_every_step(x, metadata), None
    for number in range(x.shape[1]):
        latent, state = encoder.step(x[:, number], metadata, state)
        assert torch.allclose(latent, steps[:, number], atol=1e-5), number
        assert all(len(tensor) == len(x) for tensor in state.values())


@torch.no_grad()
def test_light_curves_of_different_length_take_a_step_together(encoder: Encoder) -> None:
    """States are put together along the first dimension, those of shorter light curves filled up."""
    x, _, metadata = light_curves(n=2)
    states = []
    for k, seen in enumerate((2, 5)):
        state = None
        for number in range(seen):
            _, state = encoder.step(x[k : k + 1, number], metadata[k : k + 1], state)
        assert state is not None
        states.append(state)
    joined = {}
    for name in states[0]:
        shapes = [state[name].shape[1:] for state in states]
        both = torch.zeros(2, *map(max, *shapes)) if shapes[0] else torch.zeros(2, dtype=torch.int64)
        for k, state in enumerate(states):
            both[(k, *(slice(size) for size in shapes[k]))] = state[name][0]
        joined[name] = both
    latent, _ = encoder.step(torch.stack([x[0, 2], x[1, 5]]), metadata, joined)
    steps = encoder.at_every_step(x, metadata)
    assert torch.allclose(latent, torch.stack([steps[0, 2], steps[1, 5]]), atol=1e-5)


def test_the_parts_hold_all_parameters_and_every_parameter_gets_a_gradient(encoder: Encoder) -> None:
    refuse_wrong_parts(encoder)
    encoder.train()(*light_curves()).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        silent = name.endswith("key.bias")  # the softmax takes away what is added to all keys
        assert silent or bool((parameter.grad != 0).any()), name


def test_the_first_part_is_at_the_light_curve_and_the_last_one_at_the_latent_vector(encoder: Encoder) -> None:
    order: list[str] = []
    for part in encoder.parts:
        for module in encoder.get_submodule(part).modules():
            module.register_forward_hook(lambda *_, part=part: order.append(part))
    with torch.no_grad():  # in training on the CPU the GRU's weights are used without its module
        encoder(*light_curves())
    assert (order[0], order[-1]) == (encoder.parts[0], encoder.parts[-1])


class Unmasked(Encoder):
    """Ignores the lengths; `shape` chooses a further mistake."""

    parts = ("layer",)

    def __init__(self, n_channels: int, shape: str = "right"):
        super().__init__()
        self.layer, self.shape = torch.nn.Linear(n_channels, 6), shape
        if shape != "unknown":
            self.out_features = 6

    def forward(self, x: torch.Tensor, lengths: torch.Tensor, metadata: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if self.shape == "wrong" else self.layer(x).mean(1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("right", r"^the vectors of Unmasked change with what stands behind the end .*: let forward use `lengths`"),
        ("wrong", r"^forward of Unmasked gives a tensor of shape \(2, 6, 6\) .*\(2, out_features\) = \(2, 6\)$"),
        ("unknown", r"^Unmasked has no out_features: "),
    ],
)
def test_an_encoder_that_breaks_the_rules_is_refused_before_it_is_trained(
    shape: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENCODERS, "unmasked", Unmasked)
    with pytest.raises(ValueError, match=message):
        build_classifier({"name": "unmasked", "shape": shape}, {"name": "linear"}, 4, 5, 0)


def test_wrong_parts_are_refused_with_both_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Least(CHANNELS)
    encoder.parts = ("layers", "latent")
    with pytest.raises(ValueError, match=r"Least are layers, latent.* in layer: "):
        refuse_wrong_parts(encoder)
    monkeypatch.setattr(GRUEncoder, "parts", property(lambda self: ("gru",), lambda self, value: None), raising=False)
    with pytest.raises(ValueError, match=r"GRUEncoder are gru, .* in dense, gru, latent"):
        build_classifier({"name": "gru"}, {"name": "linear"}, 4, 3)


@pytest.mark.parametrize("name", SMALL)
def test_initial_weights_follow_the_seed_alone(name: str) -> None:
    states = []
    for seed, globally in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(globally)
        before = torch.get_rng_state()
        states.append(build_classifier({"name": name, **SMALL[name]}, {"name": "linear"}, 4, 3, seed).state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    a, b, c = states
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a if key.startswith("encoder."))


def test_normalisations_begin_as_identities_and_kernels_as_glorot_said() -> None:
    encoder = build_classifier({"name": "transformer"}, {"name": "linear"}, 4, 3, seed=0).encoder
    norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
    assert norms and all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
    up = encoder.get_parameter("attention.blocks.0.up.weight")
    assert up.abs().max().item() == pytest.approx(math.sqrt(6 / sum(up.shape)), rel=0.01)


# -- the transformer


def test_a_width_that_the_heads_do_not_share_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.width is 10 and model.heads is 4"):
        TransformerEncoder(4, width=10, heads=4)


def test_time_and_wavelength_enter_as_sines_of_their_value() -> None:
    angles = math.pi * torch.tensor([0.3, 0.6, 1.2])
    assert torch.allclose(sines(torch.tensor(0.3), 3), torch.cat([angles.sin(), angles.cos()]))


def test_the_order_of_earlier_observations_does_not_matter_to_attention() -> None:
    encoder = TransformerEncoder(CHANNELS, layers=1).eval()
    x, _, metadata = light_curves(n=1)
    shuffled = x[:, [3, 0, 2, 1, *range(4, x.shape[1])]]
    last = torch.tensor([x.shape[1]])
    assert torch.allclose(encoder(x, last, metadata), encoder(shuffled, last, metadata), atol=1e-5)


def test_the_built_in_transformer_is_as_large_as_the_papers_network() -> None:
    settings = compose(["model=transformer", "head=linear"])
    classifier = build_classifier(settings["model"], settings["head"], 4, 12, 0)
    assert 100_000 < sum(p.numel() for p in classifier.parameters()) < 200_000


def test_dropout_acts_in_training_only() -> None:
    encoder = TransformerEncoder(CHANNELS, dropout=0.5)
    curves = light_curves()
    assert not torch.equal(encoder(*curves), encoder(*curves))
    encoder.eval()
    assert torch.equal(encoder(*curves), encoder(*curves))


# -- the GRU


def test_initialise_leaves_a_normalisation_as_it_is() -> None:
    layer = torch.nn.LayerNorm(4)
    as_keras_does(layer, torch.Generator())
    assert (layer.weight == 1).all() and (layer.bias == 0).all()


def test_a_convolutions_kernel_counts_its_window() -> None:
    layer = nn.Conv1d(64, 64, 9)
    as_keras_does(layer, torch.Generator().manual_seed(0))
    assert layer.weight.std().item() == pytest.approx(0.042, abs=0.001)


def test_initialise_covers_a_bare_gru() -> None:
    gru = nn.GRU(3, 5)
    as_keras_does(gru, torch.Generator().manual_seed(0))
    assert torch.allclose(gru.weight_hh_l0.T @ gru.weight_hh_l0, torch.eye(5), atol=1e-5)
    assert (gru.bias_hh_l0 == 0).all()


# -- metadata


def metadata(*rows: list[float]) -> Tensor:
    return torch.tensor(rows)


def test_metadata_are_standardised_by_the_training_part() -> None:
    branch = MetadataBranch(2, 4)
    table = torch.randn(500, 2) * torch.tensor([0.1, 50.0]) + torch.tensor([0.3, -20.0])
    branch.standardise_by(table)
    standardised = (table - branch.mean) / branch.scale
    assert torch.allclose(standardised.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.allclose(standardised.std(0), torch.ones(2), atol=2e-3)
    assert {"mean", "scale"} <= set(branch.state_dict())  # travel with the weights


def test_unknown_metadata_count_as_the_mean() -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(metadata([1.0], [3.0], [math.nan]))
    assert branch.mean.tolist() == [2.0]
    assert torch.allclose(branch(metadata([math.nan])), branch(metadata([2.0])))
    assert not torch.allclose(branch(metadata([math.nan])), branch(metadata([3.0])))


@pytest.mark.parametrize(
    "table", [[[math.nan], [math.nan]], [[0.5], [0.5]], [[0.5]]], ids=["all unknown", "constant", "one object"]
)
def test_metadata_that_say_nothing_stay_finite(table: list[list[float]]) -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(torch.tensor(table))
    assert branch(metadata([0.5], [math.nan])).isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 0.03, 0.7, -58123.4])
def test_metadata_that_do_not_spread_keep_their_unit(value: float) -> None:
    branch = MetadataBranch(1, 3)
    for n in (1, 7, 1000, 100_003):
        branch.standardise_by(torch.tensor([[value]] * n + [[math.nan]]))
        assert branch.scale.tolist() == [1.0]


def test_small_metadata_that_spread_are_standardised() -> None:
    branch = MetadataBranch(1, 3)
    branch.standardise_by(metadata([2e-9], [4e-9]))
    assert branch.scale.item() == pytest.approx(1e-9)


def test_the_metadata_branch_reaches_the_output() -> None:
    encoder = GRUEncoder(4, ["mwebv"], hidden=8, dense=8, latent=8)
    x, lengths = torch.randn(1, 3, 4), torch.tensor([3])
    assert not torch.allclose(encoder(x, lengths, metadata([0.0])), encoder(x, lengths, metadata([5.0])))


def test_a_batch_that_is_mostly_padding_runs_in_parts_with_the_same_result() -> None:
    classifier = build_classifier({"name": "gru", "hidden": 7}, {"name": "linear"}, 4, 5, 0)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 20, (3 * PART + 5,), generator=generator)
    lengths[17] = 90
    x = torch.randn(len(lengths), 90, 4, generator=generator)
    whole, metadata = classifier.encoder.gru(x)[0], torch.empty(len(lengths), 0)
    expected = whole[torch.arange(len(lengths)), lengths - 1]
    assert torch.allclose(last_valid(lambda part: classifier.encoder.gru(part)[0], x, lengths), expected, atol=1e-6)
    classifier(x, lengths, metadata).sum().backward()
    assert all(bool((p.grad != 0).any()) for name, p in classifier.named_parameters() if "gru" in name)
