"""Class probabilities from a CSV of alerts, with numpy and onnxruntime alone: python onnx_predict.py model.onnx alerts.csv

The CSV has the columns object_id, mjd, band (a passband's whole name, such as ztfg), flux, flux_err: detections, in ascending time, fluxes at
zero point 27.5 AB; and what the model knows of an object (`metadata`, such as
host_photoz and host_photoz_err, both or neither; nothing, 0 or -9 where unknown).
Forced photometry needs the model's rules for its other epochs: use `tlclass predict` for it.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["tlclass"])
table = np.genfromtxt(sys.argv[2], delimiter=",", names=True, dtype=None, encoding="utf-8")
if unknown := sorted(set(map(str, table["band"])) - set(about["passbands"])):
    sys.exit(f"passbands {', '.join(unknown)} are unknown: the model has {', '.join(about['passbands'])}")
print("object_id", *about["classes"], sep=",")
for name in np.unique(table["object_id"]):
    rows = table[table["object_id"] == name]
    rows = rows[rows["mjd"] < rows["mjd"][0] + about["selection"]["window"][1]]
    columns = {"days": rows["mjd"] - rows["mjd"][0], "flux": rows["flux"], "flux_err": rows["flux_err"]}
    columns["wavelength"] = [about["passbands"][band] for band in rows["band"]]
    told = [float(rows[key][0]) if key in table.dtype.names else np.nan for key in about["metadata"]]
    columns["metadata"] = [value if value > 0 else np.nan for value in told]
    inputs = {key: np.array([column], dtype=np.float32) for key, column in columns.items()}
    inputs |= {"detected": np.ones((1, len(rows)), dtype=bool), "lengths": np.array([len(rows)])}
    print(name, *session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})[0][0].round(4), sep=",")
