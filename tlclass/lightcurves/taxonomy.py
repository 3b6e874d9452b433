"""Ordered classes and the labels that belong to them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from tlclass.arrays import Array

DROPPED = -1
TO_LIST = "write labels as it does, or add the label to a class in target.taxonomy.members or to target.taxonomy.dropped (its card is in conf/taxonomy)"


def _bare(label: str) -> str:
    return re.sub(r"[\s_-]", "", label).casefold()


@dataclass(frozen=True)
class Taxonomy:
    """Which class every raw label belongs to; an unlisted label is an error.

    Attributes:
        members: class name -> its raw labels or shell patterns (`SN Ia*`), in the order of the network's outputs.
            A class's own name always belongs to it; an exact label beats a pattern.
        dropped: labels (or patterns) to leave out knowingly.
        shares: expected objects per class of a balanced source model (any unit), for `head=source`; empty if unknown.
        common: the well-populated classes whose mean score is also reported (empty: not reported).

    >>> taxonomy = Taxonomy({"SN Ia": ("SN Ia*",), "SN II": ("SN IIP",)}, dropped=("nova",))
    >>> taxonomy.encode(np.array(["SN Ia-91T", "nova", "SN II"]), "example")
    array([ 0, -1,  1])
    """

    members: Mapping[str, Sequence[str]]
    dropped: Sequence[str] = ()
    common: Sequence[str] = ()
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a label listed for two classes and a common class that does not exist."""
        strange = sorted(set(self.common) - set(self.members))
        if strange:
            raise ValueError(f"taxonomy: common classes {', '.join(strange)} are not among {', '.join(self.classes)}")
        listed = [(label, name) for name, labels in self.members.items() for label in {name, *labels}]
        listed += [(label, "dropped") for label in self.dropped]
        seen: dict[str, str] = {}
        for label, name in listed:
            if seen.setdefault(label, name) != name:
                raise ValueError(f"taxonomy: label '{label}' is listed for both {seen[label]} and {name}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in output order."""
        return tuple(self.members)

    def to_mapping(self) -> dict[str, Any]:
        """Plain types, the form of `conf/taxonomy/`."""
        members = {name: list(labels) for name, labels in self.members.items()}
        return {
            "members": members,
            "dropped": list(self.dropped),
            "common": list(self.common),
            "shares": dict(self.shares),
        }

    def encode(self, labels: Array, origin: str) -> Array:
        """(n,) int64 class index per raw label; -1 where the label is dropped.

        Raises:
            ValueError: labels that are neither mapped nor dropped, each with its count.
        """
        names, code, counts = np.unique(np.asarray(labels).astype(str), return_inverse=True, return_counts=True)
        index = [self.index_of(str(name).strip()) for name in names]
        unknown = [
            f"'{name}' ({count}){self._alike(str(name))}"
            for name, count, i in zip(names, counts, index, strict=True)
            if i is None
        ]
        if unknown:
            rest = f" and {len(self.dropped) - 8} more" if len(self.dropped) > 8 else ""
            raise ValueError(
                f"{origin}: unknown class label {', '.join(unknown)}; the taxonomy maps {', '.join(self.classes)} "
                f"and drops {', '.join(self.dropped[:8]) or 'nothing'}{rest}: {TO_LIST}"
            )
        return np.array(index, dtype=np.int64)[code]

    def unlisted(self, labels: Mapping[str, int]) -> dict[str, int]:
        """Those of the labels, label -> how often it stands there, that are not listed, in order; no label at all is none."""
        return {name: count for name, count in sorted(labels.items()) if name and self.index_of(name.strip()) is None}

    def _alike(self, label: str) -> str:
        """A question that names the listed label which differs in case, blanks, `-`, `_` and `SN` alone; empty if none does."""
        listed = (*self.classes, *(name for labels in self.members.values() for name in labels), *self.dropped)
        known = {_bare(name): name for name in reversed(listed)}  # of several the first
        bare = next((each for each in (_bare(label), _bare(f"SN {label}")) if each in known), None)
        return f" (did you mean {known[bare]}?)" if bare else ""

    def without(self, classes: Sequence[str]) -> "Taxonomy":
        """The same with these classes and their labels dropped."""
        members = {name: labels for name, labels in self.members.items() if name not in classes}
        dropped = [label for name in classes for label in (name, *self.members[name]) if label not in self.dropped]
        common = [name for name in self.common if name in members]
        return Taxonomy(members, [*self.dropped, *dict.fromkeys(dropped)], common, self.shares)

    def index_of(self, label: str) -> int | None:
        """Class index of one raw label, -1 if it is dropped, None if it is not listed."""
        for matches in (str.__eq__, fnmatchcase):
            for index, (name, labels) in enumerate(self.members.items()):
                if any(matches(label, pattern) for pattern in (name, *labels)):
                    return index
            if any(matches(label, pattern) for pattern in self.dropped):
                return DROPPED
        return None

    def shares_of(self, source_classes: Sequence[str]) -> tuple[float, ...]:
        """The expected number of objects of each source class here.

        Raises:
            ValueError: a source class that belongs to a class here has no share.
        """
        mapped = [
            name for name, index in zip(source_classes, self.class_map(source_classes), strict=True) if index >= 0
        ]
        absent = [name for name in mapped if self.shares.get(name, 0) <= 0]
        if absent:
            raise ValueError(
                f"taxonomy: the share of {', '.join(absent)} is missing; there are shares of {', '.join(self.shares) or 'none'}: "
                "add them to the taxonomy's shares, or set head.use_shares=false"
            )
        return tuple(self.shares.get(name, 1.0) for name in source_classes)

    def class_map(self, source_classes: Sequence[str]) -> tuple[int, ...]:
        """For each source class the index of the class here that contains it, -1 if there is none."""
        found = (self.index_of(name) for name in source_classes)
        return tuple(DROPPED if index is None else index for index in found)
