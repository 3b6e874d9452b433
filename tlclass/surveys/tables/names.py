"""What files call the columns that are read; a name of another survey or broker is added here."""

from tlclass.lightcurves.curves import HOST_NUMBERS, SIMULATED
from tlclass.lightcurves.photometry import FACTS, ZERO_POINTS

SNANA_ZERO_POINT = FACTS["snana_zero_point"].casefold()  # counts before the unit that the name FLUXCAL states
_JANSKYS = tuple(unit for unit in ZERO_POINTS if unit.endswith("jy"))  # flux_ujy states its unit, see `unit_of_name`
NO_DETECTION = ("nondetection", "non_detection", "is_nondetection", "nondet")  # beside a flux it is still one
ERRORS = ("_err", "_error", "err")  # behind the name of a redshift
PHOTOZ, PHOTOZ_ERR = HOST_NUMBERS
_PHOTOZ = (  # of the host galaxy; PLAsTiCC and SNANA (hostgal_photoz), ELAsTiCC's alerts (hostgal_zphot)
    "host_photoz{}", "hostgal_photoz{}", "hostgal_zphot{}", "host_zphot{}", "host_photo_z{}", "host_phot_z{}", "host_z_phot{}",
    "photoz{}", "photo_z{}", "zphot{}", "z_phot{}",
)  # fmt: skip
# Our name -> what files call it, in lower case, without Fink's prefixes (`i:`, `d:`, `r:`), blanks as underscores. Sources: the ZTF alert
# schema 4.02 (objectId, jd, fid, magpsf, ...), ANTARES (ant_*), ALeRCE (oid, e_mag), Fink (i:*, d:tag), Lasair
# (unforced mag), sncosmo (zp, zpsys), SkyPortal (magsys), the Open Supernova
# Catalog (upperlimit), SNANA and SuperNNova (SNID, FLT, FLUXCAL), the Rubin data products (dia*, psf*), PLAsTiCC
# (detected_bool), the BTS explorer (ZTFID, peakt, A_V) and TNS (objname, Name, Obj. Type). `magpsf_corr` and `ant_mag_corrected` are
# not here: they are magnitudes of the source and its host, not of the difference.
ALIASES = {
    "object_id": ("object_id", "objectid", "obj_id", "oid", "snid", "diaobjectid", "ztf_object_id", "ztfid", "objname"),
    "mjd": ("mjd", "ant_mjd", "midpointmjdtai", "midpointtai", "expmidptmjd", "hmjd"),
    "band": ("band", "passband", "ant_passband", "filter", "filters", "filtername", "flt", "band_name"),
    "flux": ("flux", "fluxcal", "psfdiffflux", *(f"flux_{unit}" for unit in _JANSKYS)),
    "flux_err": (
        "flux_err", "fluxerr", "flux_error", "fluxcalerr", "psfdifffluxerr",
        *(name.format(unit) for unit in _JANSKYS for name in ("flux_err_{}", "flux_{}_err", "fluxerr_{}", "flux_error_{}")),
    ),
    "flux_unit": ("flux_unit", "flux_units", "fluxunit"),
    "zero_point": ("zero_point", "zeropoint", "zp", "zpt", "zeropt", "magzp", "mag_zp", "zero_point_mag", "flux_zp", SNANA_ZERO_POINT),
    "zero_point_system": (
        "zero_point_system", "zeropoint_system", "zpsys", "zp_sys", "mag_zpsys", "magsys", "mag_sys", "magsystem", "photsys", "phot_sys",
        "phot_system", "photometric_sys", "photometric_system", "magnitude_system",
    ),
    "detected": ("detected", "detected_bool", "is_detected", "is_detection", "isdetected", "is_det", "detection"),
    "mag": ("mag", "magnitude", "magpsf", "ant_mag", "unforced_mag"),
    "mag_err": ("mag_err", "magerr", "mag_error", "magnitude_error", "sigmapsf", "e_mag", "e_magnitude", "ant_magerr", "unforced_mag_error"),
    "is_positive": ("is_positive", "isdiffpos", "ztf_isdiffpos"),
    "limiting_mag": ("limiting_mag", "limmag", "maglim", "diffmaglim", "ant_maglim"),
    "quality": ("quality", "tag", "unforced_mag_status"),
    "is_limit": (
        "is_limit", "islimit", "is_lim", "islim", "is_upper_limit", "isupperlimit", "is_uplim", "upperlimit", "upper_limit", "uplim", "uplims",
        "ulim", "ul", "limflag", "lim_flag", "limit_flag", *NO_DETECTION,
    ),
    "alert_id": tuple(FACTS["detection"]["ids"]),
    "forced": ("forced",),
    "label": ("label", "class", "type", "sim_type_name", "spec_class", "obj_type"),
    "mwebv": ("mwebv", "ebv", "mw_ebv"),
    "ra": ("ra", "meanra"),
    "dec": ("dec", "decl", "declination", "meandec"),
    "redshift": ("redshift", "redshift_helio", "redshift_final", "true_z"),
    "host_photoz": tuple(name.format("") for name in _PHOTOZ),
    "host_photoz_err": tuple(name.format(err) for name in _PHOTOZ for err in ERRORS),
    "trigger_mjd": ("trigger_mjd",),
    "peak_mjd": ("peak_mjd", "peakmjd", "sim_peakmjd"),
    "simulated": (SIMULATED,),
}  # fmt: skip
# Less exact twins, which count only where none of the names above is there; the first that is found.
WEAK = {
    "object_id": (
        "locus_id", "iauid", "iau_name", "ztf_id", "ztf_name", "objid", "cid", "object_name", "object", "transient", "event", "name", "id", "_healpix_29",
    ),
    "mjd": ("obsmjd", "jd", "time"),
    "band": ("filtercode", "fid"),
    "zero_point_system": ("system", "mag_system"),
    "flux": ("psfflux", "forcediffimflux", "ujy", "fnu_ujy"),
    "flux_err": ("psffluxerr", "forcediffimfluxunc", "dujy", "fnu_ujy_unc", "error"),
    "flux_unit": ("unit", "units"),
    "detected": ("photflag",),
    "is_limit": ("limit",),
    "alert_id": ("_id",),  # ALeRCE's database writes candid there
    "mwebv": ("a_v",),
    "redshift": ("z",),
    "peak_mjd": ("peakt",),
}  # fmt: skip
# Fluxes in counts, and what states their zero point, which is none of other fluxes in the table (ZTF's forced photometry).
COUNTS = {"forcediffimflux": ("zpdiff", "magzpsci")}
# Both are there: the one that counts. ALeRCE's detections of LSST, whose `band` is a number; SNANA's redshifts, as in its own files, and the
# zero point of its FLUXCAL, not that of the image.
TWINS: dict[tuple[str, ...], str] = {
    ("oid", "diaobjectid"): "oid",
    ("band", "band_name"): "band_name",
    ("redshift_helio", "redshift_final"): "redshift_helio",
    **{(name, SNANA_ZERO_POINT): SNANA_ZERO_POINT for name in ("zpt", "zeropt")},
}
CONTEXT_NAMES = (*FACTS["context"], *FACTS["context_if_named"], *FACTS["context_codes"])
FLAG, CONTEXT = "flag ", "context "  # before a file's column in `found`: flags that void rows, and who took them
MASKED = "masked "  # the same of the column that says which of its cells are masked
OBSERVATION_COLUMNS = (
    "object_id", "mjd", "band", "flux", "flux_err", "flux_unit", "zero_point", "zero_point_system", "detected", "mag", "mag_err", "is_positive",
    "limiting_mag", "quality", "is_limit", "alert_id", "forced",
)  # fmt: skip
OBJECT_COLUMNS = (
    *("object_id", "label", "mwebv", "ra", "dec", "redshift"),
    *(*HOST_NUMBERS, "trigger_mjd", "peak_mjd", "simulated"),
)
TEXT = (
    "object_id", "band", "flux_unit", "zero_point_system", "detected", "is_positive", "quality", "is_limit", "forced", "label", "simulated",
)  # fmt: skip
NUMBERS = tuple(name for name in dict.fromkeys((*OBSERVATION_COLUMNS, *OBJECT_COLUMNS)) if name not in TEXT)
