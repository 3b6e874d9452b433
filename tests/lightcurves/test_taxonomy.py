import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from tests.conftest import shared_data
from tlclass.config import CONF
from tlclass.lightcurves.taxonomy import DROPPED, Taxonomy
from tlclass.surveys.plasticc import CLASS_NAMES

TAXONOMIES = sorted((CONF / "taxonomy").glob("*.yaml"))


def load(path: Path) -> Taxonomy:
    card: Any = OmegaConf.to_container(OmegaConf.load(path))
    card.pop("_target_")
    return Taxonomy(**card)


def named(name: str) -> Taxonomy:
    return load(CONF / "taxonomy" / f"{name}.yaml")


@pytest.mark.parametrize("path", TAXONOMIES, ids=lambda path: path.stem)
def test_every_taxonomy_loads_and_maps_what_it_lists(path: Path) -> None:
    taxonomy = load(path)
    for index, (name, labels) in enumerate(taxonomy.members.items()):
        exact = [label for label in (name, *labels) if "*" not in label]
        assert taxonomy.encode(np.array(exact), "t").tolist() == [index] * len(exact)
    exact = [label for label in taxonomy.dropped if "*" not in label]
    assert taxonomy.encode(np.array(exact), "t").tolist() == [DROPPED] * len(exact)
    assert Taxonomy(**taxonomy.to_mapping()).to_mapping() == taxonomy.to_mapping()
    assert taxonomy.class_map(taxonomy.classes) == tuple(range(len(taxonomy.classes)))


@pytest.mark.parametrize(
    ("label", "name"),
    [
        *[(label, "SN Ia") for label in ("SN Ia", "SN Ia-91T", "SN Ia-norm", "SN Ia-CSM", "SN Iax")],
        *[(label, "SN II") for label in ("SN II", "SN IIP", "SN IIn", "SN IIb")],
        *[(label, "SN Ib/c") for label in ("SN Ib", "SN Ic", "SN Ib/c", "SN Ic-BL", "SN Ibn", "SN Icn")],
        ("SLSN-I", "SLSN-I"),
        ("TDE", "TDE"),
        *[(label, None) for label in ("other", "ILRT", "LBV", "LRN", "Ca-rich", "nova", "SLSN-II")],
    ],
)
def test_the_bts_map_of_the_design(label: str, name: str | None) -> None:
    taxonomy = named("bts")
    index = taxonomy.index_of(label)
    assert index is not None
    assert (None if index == DROPPED else taxonomy.classes[index]) == name


# The object types of the Transient Name Server, wis-tns.org, with those of the BTS explorer that it writes otherwise.
TNS = """
AGN|Afterglow|Blazar|CV|Computed-IIP|Computed-IIb|Computed-IIn|Computed-Ia|Computed-PISN|FBOT|FRB|Galaxy|Gap|Gap I|Gap II|ILRT|Impostor-SN
Kilonova|LBV|LRN|Light-Echo|M dwarf|Nova|Other|QSO|SLSN-I|SLSN-II|SLSN-R|SN|SN I|SN I-faint|SN I-rapid|SN II|SN II-pec|SN IIL|SN IIP|SN IIb
SN IIb-pec|SN IIn|SN IIn-pec|SN Ia|SN Ia-91T-like|SN Ia-91bg-like|SN Ia-CSM|SN Ia-Ca-rich|SN Ia-SC|SN Ia-pec|SN Iax[02cx-like]|SN Ib|SN Ib-Ca-rich
SN Ib-pec|SN Ib/c|SN Ib/c-Ca-rich|SN Ibn|SN Ibn/Icn|SN Ic|SN Ic-BL|SN Ic-Ca-rich|SN Ic-pec|SN Icn|SN Ien|Std-spec|TDE|TDE-H|TDE-H-He|TDE-He
TDE-featureless|Varstar|WR|WR-WC|WR-WN|WR-WO|Ca-rich|SLSN-I.5|SN Ia-91T|SN Ia-91bg|SN Ia-03fg|SN Iax|nova|nova-like|other
"""


@pytest.mark.parametrize("target", ["bts", "bts_common"])
def test_every_type_of_the_transient_name_server_is_listed(target: str) -> None:
    types = np.array(TNS.strip().replace("\n", "|").split("|"))
    taxonomy = named(target)
    index = taxonomy.encode(types, "TNS")
    kept = {name: set(types[index == number]) for number, name in enumerate(taxonomy.classes)}
    assert (
        all(label.startswith("SN Ia") and "Ca-rich" not in label for label in kept["SN Ia"])
        and len(kept["SN Ia"]) == 11
    )
    assert all(label.startswith("SN II") for label in kept["SN II"]) and len(kept["SN II"]) == 8
    assert (
        all(label.startswith(("SN Ib", "SN Ic", "SN Ien")) for label in kept["SN Ib/c"]) and len(kept["SN Ib/c"]) == 10
    )


@pytest.mark.parametrize("target", ["bts", "bts_common"])
def test_plasticc_classes_find_their_place_in_bts(target: str) -> None:
    source, taxonomy = named("plasticc"), named(target)
    expected = {
        "SNIa": "SN Ia", "SNIa-91bg": "SN Ia", "SNIax": "SN Ia", "SNII": "SN II", "SNIbc": "SN Ib/c",
        "TDE": "TDE", "SLSN-I": "SLSN-I", "AGN": None,
    }  # fmt: skip
    places = taxonomy.class_map(source.classes)
    found = {
        name: taxonomy.classes[place] if place >= 0 else None
        for name, place in zip(source.classes, places, strict=True)
    }
    assert found == {name: place if place in taxonomy.classes else None for name, place in expected.items()}


@pytest.mark.parametrize("label", ["SNIb", "SNIc", "SNIc-BL", "SNIbc"])
def test_stripped_envelope_classes_of_our_simulations_are_ibc(label: str) -> None:
    assert named("bts").class_map([label]) == (2,)


def test_every_plasticc_class_is_listed() -> None:
    assert (named("plasticc").encode(np.array(list(CLASS_NAMES.values())), "t") != DROPPED).sum() == 8


def test_every_class_of_the_simulated_surveys_is_listed_in_bts() -> None:
    for path in (CONF / "survey").glob("*_simulated.yaml"):
        mix: Any = OmegaConf.load(path).get("mix", {})
        assert all(named("bts").index_of(str(name)) is not None for name in mix), path.stem


def test_an_unknown_label_is_an_error_with_its_count() -> None:
    with pytest.raises(
        ValueError,
        match=r"file: unknown class label 'SN Xa' \(2\), 'supernova' \(1\); the taxonomy maps SN Ia.*drops other",
    ) as error:
        named("bts").encode(np.array(["SN Ia", "SN Xa", "SN Xa", "supernova"]), "file")
    assert "add the label" in str(error.value)


@pytest.mark.parametrize(
    ("label", "meant"),
    [("sn ia", "SN Ia"), ("SN IA", "SN Ia"), ("slsn-i", "SLSN-I"), ("SN_IIb", "SN IIb"), ("ca rich", "Ca-rich"), ("SN Xa", None)],
)  # fmt: skip
def test_a_label_in_another_case_is_answered_with_the_listed_one(label: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match=r"unknown class label '.*' \(1\)") as error:
        named("bts").encode(np.array([label, "SN Ia"]), "file")
    hint = f" (did you mean {meant}?)" if meant else ""
    assert f"'{label}' (1){hint}; the taxonomy maps" in str(error.value)
    assert "target.taxonomy.members or to target.taxonomy.dropped" in str(error.value)


@pytest.mark.parametrize(
    "source", [path for path in TAXONOMIES if path.stem in ("plasticc", "twelve")], ids=lambda path: path.stem
)
def test_every_class_of_a_source_that_belongs_to_bts_has_a_share_there(source: Path) -> None:
    taxonomy, classes = named("bts"), load(source).classes
    assert taxonomy.shares_of(classes) == tuple(float(taxonomy.shares.get(name, 1)) for name in classes)


def test_a_class_without_share_is_named() -> None:
    taxonomy = Taxonomy({"A": ("a1", "a2")}, shares={"a1": 3})
    with pytest.raises(
        ValueError, match=r"taxonomy: the share of a2 is missing; .* a1: add them .* head.use_shares=false"
    ):
        taxonomy.shares_of(["a1", "a2", "b"])


def test_an_exact_label_beats_a_pattern() -> None:
    taxonomy = Taxonomy({"A": ("SN*",), "B": ("SN x",)}, dropped=("SN y",))
    assert taxonomy.encode(np.array(["SN z", "SN x", "SN y"]), "t").tolist() == [0, 1, DROPPED]


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"label 'x' is listed for both A and B"):
        Taxonomy({"A": ("x",), "B": ("x",)})
    with pytest.raises(ValueError, match=r"label 'x' is listed for both A and dropped"):
        Taxonomy({"A": ("x",)}, dropped=("x",))
    with pytest.raises(ValueError, match=r"common classes C are not among A"):
        Taxonomy({"A": ()}, common=("C",))


def test_the_real_types_map_to_the_class_their_collectors_gave() -> None:
    objects = pq.read_table(
        shared_data("ztf_bts") / "ztf_bts" / "objects.parquet", columns=["source_class", "class"]
    ).to_pandas()
    taxonomy = named("bts")
    names = np.array([*taxonomy.classes, "other"])
    ours = names[taxonomy.encode(objects["source_class"].to_numpy(dtype=str), "ztf_bts")]
    assert objects.loc[ours != objects["class"], ["source_class", "class"]].drop_duplicates().to_numpy().tolist() == []


# Folders of the ELAsTiCC2 training set (32) and of its test set (38), as LSSTDESC/elasticc and ORACLE list them.
TRAIN_AND_TEST = [
    "CART", "Cepheid", "EB", "ILOT", "KN_B19", "KN_K17", "Mdwarf-flare", "RRL", "SLSN-I+host", "SLSN-I_no_host", "SNII+HostXT_V19",
    "SNII-NMF", "SNII-Templates", "SNIIb+HostXT_V19", "SNIIn+HostXT_V19", "SNIIn-MOSFIT", "SNIa-91bg", "SNIa-SALT3", "SNIax",
    "SNIb+HostXT_V19", "SNIb-Templates", "SNIc+HostXT_V19", "SNIc-Templates", "SNIcBL+HostXT_V19", "TDE", "d-Sct", "dwarf-nova",
    "uLens-Binary", "uLens-Single-GenLens", "uLens-Single_PyLIMA",
]  # fmt: skip
TRAIN = [*TRAIN_AND_TEST, "CLAGN", "PISN"]
TEST = [
    *TRAIN_AND_TEST,
    *["AGN", "PISN-MOSFIT", "PISN-STELLA_HECORE", "PISN-STELLA_HYDROGENIC", "SL-SN1a", "SL-SNII", "SL-SNIb", "SL-SNIc"],
]
PAPER = {
    "SNIa": 1,
    "SNIb": 2,
    "SNIc": 2,
    "SNIc-BL": 1,
    "SNII": 3,
    "SNIIn": 2,
    "SNIIb": 1,
    "SLSN-I": 2,
}  # models of a class; else 1


def folder_label(card: str, folder: str) -> str | None:
    """The raw label of a folder by a card's regular expression."""
    pattern = OmegaConf.load(CONF / "survey" / f"{card}.yaml").reader.label
    match = re.fullmatch(pattern, folder)
    return match[1] if match else None


def test_elasticc_lists_every_model_of_both_sets() -> None:
    assert (len(TRAIN), len(TEST)) == (32, 38)
    taxonomy = named("elasticc")
    classes = named("twelve").classes
    assert taxonomy.classes == named("ztf_sims").classes == classes
    index = taxonomy.encode(np.array(TRAIN), "t")
    assert {name: int((index == k).sum()) for k, name in enumerate(classes)} == {
        name: PAPER.get(name, 1) for name in classes
    }
    assert taxonomy.encode(np.array(["SNIc-Templates"]), "t") == classes.index("SNIc"), "SNIb in the authors' code"
    assert set(taxonomy.encode(np.array(TEST), "t")) == {DROPPED, *range(12)}


@pytest.mark.parametrize(
    "prefix", ["ELASTICC_TRAIN_", "ELASTICC2_TRAIN_02_", "ELASTICC2_TRAIN_01_1percent_", "ELASTICC2_FINAL_"]
)
def test_folders_of_elasticc_give_their_model(prefix: str) -> None:
    assert [folder_label("elasticc", prefix + model) for model in TEST] == TEST
    assert folder_label("elasticc", "SNIa-SALT3") is None


def test_models_of_the_ztf_simulations_are_each_listed_once() -> None:
    taxonomy = named("ztf_snana")
    models = [label for labels in taxonomy.members.values() for label in labels] + list(taxonomy.dropped)
    assert sorted(models) == [
        f"MODEL{n:02d}"
        for n in (1, 2, 3, 11, 12, 13, 14, 41, 43, 45, 50, 51, *range(60, 65), 70, 80, 81, 83, 84, *range(90, 94))
    ]
    assert [folder_label("ztf_snana", f"ZTF_MSIP_{model}") for model in models] == models
    assert taxonomy.encode(np.array(["MODEL01", "MODEL13", "MODEL64", "MODEL51"]), "t").tolist() == [0, 3, 6, DROPPED]
    assert -1 not in named("bts").class_map([name for name in taxonomy.classes if name != "AGN"])


# -- the common taxonomy and PLAsTiCC as a target


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("SNIIb", "SNII"), ("SNIc-BL", "SNIbc"), ("SN Ia", "SNIa"), ("SN Ia-91T", "SNIa"), ("SN Ia-91bg", "SNIa-91bg"), ("SN Iax", "SNIax"),
        ("SN Iax[02cx-like]", "SNIax"), ("SN IIn", "SNII"), ("SN Ic-BL", "SNIbc"), ("SLSN-I.5", "SLSN-I"), ("AGN", "AGN"), ("RRL", None), ("LBV", None),
    ],
)  # fmt: skip
def test_the_common_classes_hold_what_plasticc_the_twelve_and_bts_call_them(label: str, name: str | None) -> None:
    taxonomy = named("common")
    index = taxonomy.index_of(label)
    assert index is not None and (None if index == DROPPED else taxonomy.classes[index]) == name


@pytest.mark.parametrize("source", ["plasticc", "twelve", "bts", "bts_common", "elasticc"])
def test_every_label_of_the_surveys_is_known_to_the_common_taxonomy(source: str) -> None:
    listed = named(source)
    labels = [label for members in listed.members.values() for label in members] + [*listed.classes, *listed.dropped]
    plain = [label for label in labels if label != "SN Ia*" and label not in ("TDE-*",)]
    assert named("common").encode(np.array(plain), "t").min() >= DROPPED
    assert named("common").classes == named("plasticc").classes


def test_a_source_of_twelve_classes_has_a_place_and_a_share_in_plasticc() -> None:
    source, target = named("twelve"), named("plasticc")
    places = target.class_map(source.classes)
    assert set(places) == set(range(8))
    sums = np.bincount(places, target.shares_of(source.classes))
    published = {
        "SNIa": 2313,
        "SNIa-91bg": 208,
        "SNIax": 183,
        "SNII": 1193,
        "SNIbc": 484,
        "TDE": 495,
        "SLSN-I": 175,
        "AGN": 370,
    }
    assert dict(zip(target.classes, sums, strict=True)) == published
