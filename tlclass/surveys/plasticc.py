"""PLAsTiCC as published: one CSV of light curves, one of metadata, classes by number."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlclass.arrays import Array
from tlclass.lightcurves.curves import LightCurves, from_columns
from tlclass.lightcurves.passbands import Passbands
from tlclass.quoting import listed
from tlclass.surveys.tables.cells import column_values, numbers
from tlclass.surveys.tables.files import existing, read_table, schema_of
from tlclass.surveys.tables.table import Table

# Table 1 of Kessler et al. 2019 (PASP 131, 094501); 991 to 994 occur only in the test set.
CLASS_NAMES = {
    6: "uLens-Single", 15: "TDE", 16: "EB", 42: "SNII", 52: "SNIax", 53: "Mira", 62: "SNIbc", 64: "KN",
    65: "M-dwarf-flare", 67: "SNIa-91bg", 88: "AGN", 90: "SNIa", 92: "RRL", 95: "SLSN-I",
    991: "uLens-Binary", 992: "ILOT", 993: "CaRT", 994: "PISN",
}  # fmt: skip
NUMBERS = {
    "ra": "ra",
    "dec": "decl",
    "redshift": "true_z",
    "mwebv": "mwebv",
    "code": "true_target",
    "submodel": "true_submodel",
}
# 0 of objects in the Milky Way: unknown
HOSTS = {"host_photoz": "hostgal_photoz", "host_photoz_err": "hostgal_photoz_err"}


@dataclass(frozen=True)
class PlasticcCSV:
    """Reads the published pair of CSV files (PLAsTiCC team 2018, arXiv:1810.00001).

    Fluxes are SNANA FLUXCAL, zero point 27.5. The trigger is the first detection (`detected_bool`).
    Extra columns: `ddf` (deep drilling field), `submodel`.

    Attributes:
        folder: holds the two files.
        passbands: LSST, with the file's codes 0 to 5 as aliases.
        light_curves, metadata: file names, also with `.gz`.
    """

    folder: Path
    passbands: Passbands
    light_curves: str = "plasticc_train_lightcurves.csv"
    metadata: str = "plasticc_train_metadata.csv"

    def files(self) -> list[Path]:
        """The two files.

        Raises:
            FileNotFoundError: one is missing.
        """
        return [*self._observations().files(), existing(Path(self.folder) / self.metadata)]

    def read(self) -> LightCurves:
        """All objects, labels by name.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a column is missing, or a class number is not in PLAsTiCC's list.
        """
        self.files()
        path = Path(self.folder) / self.metadata
        names = schema_of(path).names
        wanted = NUMBERS | {name: file_name for name, file_name in HOSTS.items() if file_name in names}
        needed = [*wanted.values(), "object_id", "ddf_bool"]
        absent = [name for name in needed if name not in names]
        if absent:
            raise ValueError(
                f"{path} lacks the column(s) {', '.join(absent)}; it has {listed(names)}: use the published files (tlclass fetch plasticc)"
            )
        table = read_table(path, needed)
        columns = {
            name: numbers(column_values(table[file_name]), file_name, str(path)) for name, file_name in wanted.items()
        }
        label, submodel = _class_names(columns.pop("code"), path), columns.pop("submodel").astype(np.int64)
        objects = {**columns, "object_id": column_values(table["object_id"]), "label": label}
        objects |= {"ddf": column_values(table["ddf_bool"]).astype(bool), "submodel": submodel}
        seen, dropped = self._observations().read_observations()
        return from_columns(objects, seen, self.passbands.names, str(self.folder), dropped)

    def _observations(self) -> Table:
        columns = {"band": "passband", "detected": "detected_bool"}
        return Table(Path(self.folder) / self.light_curves, self.passbands, columns=columns)


def _class_names(codes: Array, path: Path) -> Array:
    values, index, counts = np.unique(codes.astype(np.int64), return_inverse=True, return_counts=True)
    unknown = [
        f"{value} ({count})" for value, count in zip(values, counts, strict=True) if int(value) not in CLASS_NAMES
    ]
    if unknown:
        raise ValueError(
            f"{path}: unknown class number {', '.join(unknown)}; PLAsTiCC has {', '.join(map(str, CLASS_NAMES))}"
        )
    return np.array([CLASS_NAMES[int(value)] for value in values])[index]
