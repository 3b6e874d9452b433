"""The built-in light-curve simulator: physical models of transients, observed by simulated surveys.

Nothing is read from disk and nothing is downloaded; all numbers live in `conf/population`, `conf/simulator` and `conf/survey`.
"""

from tlclass.simulator.bands import Bands, band_flux, rest_frame_magnitudes
from tlclass.simulator.card import simulated_survey
from tlclass.simulator.instrument import Band, Systematics
from tlclass.simulator.joint import JointSimulation, joint_simulated_survey
from tlclass.simulator.population import Limits, Population
from tlclass.simulator.survey import Discovery, Observatory, Simulation
from tlclass.simulator.transients import Gap, Transient

__all__ = [
    "Band",
    "Bands",
    "Discovery",
    "Gap",
    "JointSimulation",
    "Limits",
    "Observatory",
    "Population",
    "Simulation",
    "Systematics",
    "Transient",
    "band_flux",
    "joint_simulated_survey",
    "rest_frame_magnitudes",
    "simulated_survey",
]
