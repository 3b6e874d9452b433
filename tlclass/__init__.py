"""Transfer learning for the classification of astronomical transients.

>>> import tlclass
>>> sorted(tlclass.__all__)[:3]
['ClassifierTask', 'LightCurveDataModule', 'LightCurves']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tlclass.inputs.datamodule import LightCurveDataModule
    from tlclass.lightcurves.curves import LightCurves
    from tlclass.serving.model import Model, load_model
    from tlclass.serving.surveys import load_survey
    from tlclass.training.by_hand import ClassifierTask

__all__ = ["ClassifierTask", "LightCurveDataModule", "LightCurves", "Model", "load_model", "load_survey"]

_HOMES = {  # imported when first used, so that `import tlclass` is quick
    "ClassifierTask": "tlclass.training.by_hand",
    "LightCurveDataModule": "tlclass.inputs.datamodule",
    "LightCurves": "tlclass.lightcurves.curves",
    "Model": "tlclass.serving.model",
    "load_model": "tlclass.serving.model",
    "load_survey": "tlclass.serving.surveys",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tlclass' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
