"""What is loaded from the source model and what is trained: a freeze policy is lists of patterns."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from tlclass.network.classifier import Classifier
from tlclass.options import build
from tlclass.quoting import shortened

log = logging.getLogger(__name__)

DEPTHS = "first and last (the encoder's part next to the light curve, and its last one), encoder and head"


@dataclass(frozen=True)
class Stage:
    """One fit of several in a row.

    Attributes:
        train: patterns of the parameters that it trains; all others stay frozen.
        rate: its learning rate relative to the first stage's.
    """

    train: Sequence[str]
    rate: float = 1.0


@dataclass(frozen=True)
class FreezePolicy:
    """Patterns over parameter names such as `encoder.gru.*` or `head.*`, or words for the depth in any encoder.

    The words are `first` and `last`, for the encoder's part next to the light curve and its last one, `encoder` and `head`.

    Attributes:
        name: used in folders, tables and figures.
        load: parameters taken from the source model.
        train: parameters that are trained; all others stay frozen. None: the weights stay as they were loaded.
        then: further stages `{train, rate}`, each started from the best weights of the one before, as in LP-FT
            (Kumar et al. 2022) and gradual unfreezing (Howard & Ruder 2018).
        rates: learning rate of a parameter relative to its stage's, by pattern; the first pattern that matches
            counts, 1 where none does (discriminative fine-tuning, Howard & Ruder 2018).
        allow_untrained: whether a parameter may be neither loaded nor trained (a control).

    Raises:
        ValueError: a stage has an unknown option, one of several trains nothing, or a rate is not positive.
    """

    name: str
    load: Sequence[str] = ()
    train: Sequence[str] = ("*",)
    then: Sequence[Mapping[str, Any]] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    allow_untrained: bool = False

    def __post_init__(self) -> None:
        """Refuse wrong stages and rates now, not after the pretraining."""
        for rate in (*(stage.rate for stage in self.stages), *self.rates.values()):
            if not rate > 0:
                raise ValueError(
                    f"freeze policy '{self.name}': a learning-rate factor must be above 0, not {rate}: "
                    "choose another, or remove the part from train to freeze it"
                )
        if self.then and not all(stage.train for stage in self.stages):
            raise ValueError(
                f"freeze policy '{self.name}': a stage trains nothing: name its patterns in train, or remove it"
            )

    @property
    def stages(self) -> list[Stage]:
        """The first stage and those of `then`."""
        for entry in self.then:
            if not isinstance(entry, Mapping):
                raise ValueError(
                    f"freeze policy '{self.name}': then contains {shortened(entry)}, which is no stage: give a list of stages "
                    f"{{train: [PATTERN], rate: FACTOR}}"
                )
        return [Stage(self.train), *(build(Stage, entry, f"freeze policy '{self.name}', then") for entry in self.then)]

    def with_patterns(self, parts: Sequence[str]) -> "FreezePolicy":
        """The same with patterns in place of the words for the depth.

        Args:
            parts: of the encoder, see `tlclass.network.encoders.Encoder`.
        """
        words = {
            "first": f"encoder.{parts[0]}.*",
            "last": f"encoder.{parts[-1]}.*",
            "encoder": "encoder.*",
            "head": "head.*",
        }

        def patterns(given: Sequence[str]) -> list[str]:
            return [words.get(word, word) for word in given]

        rates: dict[str, float] = {}
        for word, factor in self.rates.items():
            rates.setdefault(words.get(word, word), factor)  # the first that matches counts
        then = [{**entry, "train": patterns(entry["train"])} for entry in self.then]
        return replace(self, load=patterns(self.load), train=patterns(self.train), then=then, rates=rates)


@dataclass(frozen=True)
class PartReport:
    """What happens to one part of the network, in numbers of parameters."""

    part: str
    loaded: int
    new: int
    trained: int
    frozen: int


@dataclass(frozen=True)
class TransferReport:
    """What `transfer` did; printed at the start of a job.

    Attributes:
        policy: its name. parts: a line each.
        loaded: names of the parameters that came from the source.
        source_classes, target_classes: of the source and here.
    """

    policy: str
    parts: tuple[PartReport, ...]
    loaded: frozenset[str]
    source_classes: tuple[str, ...]
    target_classes: tuple[str, ...]

    @property
    def trained(self) -> int:
        """Trained parameters in any stage."""
        return sum(part.trained for part in self.parts)

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(part.loaded + part.new for part in self.parts)

    def __str__(self) -> str:
        """A table of the parts, then the classes."""
        rows = [f"{'part':<18}{'loaded':>9}{'new':>9}{'trained':>9}{'frozen':>9}"]
        rows += [f"{p.part:<18}{p.loaded:>9,}{p.new:>9,}{p.trained:>9,}{p.frozen:>9,}" for p in self.parts]
        rows.append(
            f"{'total':<18}{self._sum('loaded'):>9,}{self._sum('new'):>9,}{self.trained:>9,}{self._sum('frozen'):>9,}"
        )
        source = ", ".join(self.source_classes) or "none (nothing is loaded)"
        rows.append(f"source classes: {source} -> target classes: {', '.join(self.target_classes)}")
        return f"transfer '{self.policy}'\n" + "\n".join(rows)

    def _sum(self, column: str) -> int:
        return sum(getattr(part, column) for part in self.parts)


def transfer(
    classifier: Classifier,
    policy: FreezePolicy,
    source: Mapping[str, Tensor] | None,
    source_classes: Sequence[str],
    target_classes: Sequence[str],
) -> TransferReport:
    """Load what the policy loads into `classifier`, in place, and freeze all but what its first stage trains.

    Args:
        classifier: freshly initialised for the target.
        policy: see `FreezePolicy`.
        source: the source model's state, or None if the policy loads nothing.
        source_classes, target_classes: for the report.

    Raises:
        ValueError: a pattern matches nothing; a loaded tensor is missing in the source or has another
            shape; a parameter is neither loaded nor trained and the policy does not allow that.
    """
    policy = policy.with_patterns(classifier.encoder.parts)
    parameters = dict(classifier.named_parameters())
    state = classifier.state_dict()
    loaded = matching(policy.load, list(state), policy.name, "load")
    trained = set().union(*(matching(stage.train, list(parameters), policy.name, "train") for stage in policy.stages))
    matching(list(policy.rates), sorted(trained), policy.name, "rates", "trained parameter")
    idle = sorted(set(parameters) - loaded - trained)
    if idle and not policy.allow_untrained:
        raise ValueError(
            f"freeze policy '{policy.name}': {', '.join(sorted({f'{part_of(name)}.*' for name in idle}))} would be neither loaded nor trained: "
            "add them to load or train, or set freeze_policy.allow_untrained=true"
        )
    if loaded:
        _load(classifier, loaded, source or {}, policy.name)
    set_trainable(classifier, policy.train, policy.name)
    return _report(parameters, loaded, trained, policy, source_classes if loaded else (), target_classes)


def set_trainable(classifier: Classifier, patterns: Sequence[str], policy: str) -> None:
    """Let gradients flow to the parameters these patterns match, and to no other.

    Raises:
        ValueError: a pattern matches nothing.
    """
    parameters = dict(classifier.named_parameters())
    chosen = matching(patterns, list(parameters), policy, "train")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name in chosen)


def matching(
    patterns: Sequence[str], names: Sequence[str], policy: str, what: str, kind: str = "parameter"
) -> set[str]:
    """The names that any of the shell patterns matches.

    Raises:
        ValueError: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            parts = sorted({part_of(name) for name in names})
            raise ValueError(
                f"freeze policy '{policy}': {what} pattern '{pattern}' matches no {kind}; "
                f"the parts are {', '.join(f'{part}.*' for part in parts)}; for any encoder write {DEPTHS}"
            )
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


def rate_of(name: str, rates: Mapping[str, float]) -> float:
    """The factor of the first pattern that matches a parameter's name; 1 if none does."""
    return next((factor for pattern, factor in rates.items() if fnmatchcase(name, pattern)), 1.0)


def frozen_copy(classifier: Classifier) -> dict[str, Tensor]:
    """A copy of all tensors that must not change in training: frozen parameters and buffers."""
    trained = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    return {name: tensor.detach().clone() for name, tensor in classifier.state_dict().items() if name not in trained}


def moved(classifier: Classifier, before: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not bit-identical to their copies in `before`."""
    state = classifier.state_dict()
    return [name for name, tensor in before.items() if not torch.equal(state[name].cpu(), tensor.cpu())]


def assert_unchanged(classifier: Classifier, before: Mapping[str, Tensor]) -> None:
    """Raise RuntimeError, naming them, if tensors of `frozen_copy` are not bit-identical now."""
    changed = moved(classifier, before)
    if changed:
        raise RuntimeError(
            f"frozen parameters changed during training: {', '.join(changed)}; this is a bug, please report it"
        )


def part_of(name: str) -> str:
    """`encoder.gru.weight_ih_l0` -> `encoder.gru`; `head.output.bias` -> `head`."""
    return ".".join(name.split(".")[:2]) if name.startswith("encoder.") else name.split(".")[0]


def _load(classifier: Classifier, names: set[str], source: Mapping[str, Tensor], policy: str) -> None:
    state = classifier.state_dict()
    wrong = [
        f"{name}: {tuple(source[name].shape) if name in source else 'absent'} in the source, {tuple(state[name].shape)} here"
        for name in sorted(names)
        if name not in source or source[name].shape != state[name].shape
    ]
    if wrong:
        raise ValueError(
            f"freeze policy '{policy}' cannot load the source model, its architecture differs: {'; '.join(wrong)}: "
            "pretrain with the same model and encoding, or load fewer parts"
        )
    classifier.load_state_dict({name: source[name] if name in names else state[name] for name in state})


def _report(
    parameters: Mapping[str, Tensor],
    loaded: set[str],
    trained: set[str],
    policy: FreezePolicy,
    source_classes: Sequence[str],
    target_classes: Sequence[str],
) -> TransferReport:
    parts = []
    for part in dict.fromkeys(part_of(name) for name in parameters):
        sizes = {name: p.numel() for name, p in parameters.items() if part_of(name) == part}
        taken = sum(size for name, size in sizes.items() if name in loaded)
        moving = sum(size for name, size in sizes.items() if name in trained)
        total = sum(sizes.values())
        parts.append(PartReport(part, taken, total - taken, moving, total - moving))
    taken_names = frozenset(loaded & set(parameters))
    return TransferReport(policy.name, tuple(parts), taken_names, tuple(source_classes), tuple(target_classes))
