"""Files in the layouts that surveys, brokers and catalogues publish, a few rows of one object each. Simulated values.

Sources: ZTF forced photometry service (Masci et al. 2023), ATLAS forced photometry server ("Output Description"), Open Astronomy
Catalog API (README), Gaia Science Alerts (alert pages), ASAS-SN Sky Patrol (light curve CSV), ALeRCE API (detections), Lasair for
LSST API (diaSourcesList), SNANA files of Foundation and RAISIN, SkyPortal (photometry CSV), Rubin DP1 (ForcedSourceOnDiaObject),
ALeRCE TAP (ztf_forced_photometry), Multimodal Universe (ps1_sne_ia and des_y3_sne_ia on Hugging Face).
"""

from pathlib import Path

ZTF_FORCED = """index,field,ccdid,qid,filter,pid,infobitssci,sciinpseeing,zpdiff,programid,jd,rfid,forcediffimflux,forcediffimfluxunc,procstatus,object_id
0,600,1,1,ZTF_g,1,0,2.1,26.0,1,2459000.75,1,100.0,10.0,0,ZTF1
1,600,1,1,ZTF_r,2,0,2.1,26.0,1,2459001.75,1,-20.0,10.0,57,ZTF1
2,600,1,1,ZTF_r,3,33554432,2.1,26.0,1,2459002.75,1,900.0,10.0,0,ZTF1
3,600,1,1,ZTF_g,4,0,2.1,26.0,1,2459003.75,1,900.0,10.0,"56,63",ZTF1
"""
ZTF_FORCED_AS_SENT = """# Requested input R.A. = 150.0 degrees
index, field, ccdid, qid, filter, pid, infobitssci, zpdiff, jd, forcediffimflux, forcediffimfluxunc, procstatus
 0 600 1 1 ZTF_g 1 0 26.0 2459000.75 100.0 10.0 0
"""
ATLAS = """###MJD,m,dm,uJy,duJy,F,err,chi/N,RA,Dec,x,y,maj,min,phi,apfit,mag5sig,Sky,Obs,object_id
59001.25,17.50,0.02,363.1,10.0,o,0,1.1,10.0,5.0,1,1,2.1,2.0,1.0,-0.4,19.0,20.1,01a,at1
59002.25,-18.0,0.50,-12.0,10.0,c,0,1.1,10.0,5.0,1,1,2.1,2.0,1.0,-0.4,19.0,20.1,01a,at1
59003.25,14.00,0.02,9e9,10.0,o,2,1.1,10.0,5.0,1,1,2.1,2.0,1.0,-0.4,19.0,20.1,01a,at1
"""
ATLAS_AS_SENT = """###MJD  m  dm  uJy  duJy  F err
59001.25 17.50 0.02 363 10 o 0
"""
OPEN_CATALOG = """event,time,magnitude,e_magnitude,upperlimit,band,instrument,telescope,system
SN2019yvq,58850.5,17.5,0.02,F,g,ZTF,P48,AB
SN2019yvq,58851.5,17.3,0.03,F,r,KeplerCam,FLWO 1.2m,AB
SN2019yvq,58852.5,17.2,0.03,F,V,UVOT,Swift,Vega
SN2019yvq,58853.5,19.9,,T,r,ZTF,P48,AB
"""
GAIA = """Gaia15adl
#Date,JD(TCB),averagemag.
2014-08-02 20:49:51,2456872.36795,19.12
2014-08-03 02:44:29,2456872.61422,untrusted
"""
ASASSN = """HJD,UT Date,Camera,FWHM,Limit,mag,mag_err,flux(mJy),flux_err,Filter
2458000.47009,2017-09-03.9710173,be,1.77,15.518,14.839,0.117,4.448,0.477,V
2458002.51020,2017-09-06.0112978,be,2.03,14.814,>14.814,99.990,-1.0,0.910,V
"""
ALERCE = """tid,mjd,candid,fid,pid,diffmaglim,isdiffpos,nid,distnr,magpsf,magpsf_corr,magpsf_ap,sigmapsf,sigmapsf_corr,rb,corrected,dubious,oid,ra,dec,has_stamp
ztf,58000.25,111,1,222,20.5,1,333,0.5,19.0,18.0,18.9,0.1,0.01,0.9,true,false,ZTF1,10.0,5.0,true
ztf,58001.25,112,2,223,20.5,-1,334,0.5,19.5,18.0,18.9,0.3,100.0,0.9,true,false,ZTF1,10.0,5.0,true
"""
ALERCE_TAP = """oid,sid,measurement_id,pid,mjd,fid,ra,dec,mag,e_mag,mag_corr,e_mag_corr,isdiffpos,corrected,dubious,field,diffmaglim,procstatus
36028941000000001,0,1,100,59000.25,1,10.0,20.0,19.0,0.05,18.0,0.02,1,True,False,500,20.5,0
36028941000000001,0,2,101,59001.25,2,10.0,20.0,20.0,0.30,18.5,0.02,-1,True,False,500,20.5,0
36028941000000001,0,3,102,59002.25,2,10.0,20.0,100.0,100.0,,,1,False,True,500,20.5,56
"""
# Its columns are lists in one struct; what is missing is padded with -99 d and fluxes of 0.
MULTIMODAL = {
    "lightcurve": [{
        "band": ["g", "g", "i", "r", "r"], "flux": [-1.5, 137.0, 0.0, 2.25, 0.0], "flux_err": [9.75, 11.5, 0.0, 11.25, 0.0],
        "time": [55680.25, 55711.25, -99.0, 55692.25, -99.0],
    }],
    "ra": [34.5], "dec": [-29.0], "redshift": [0.25], "host_log_mass": [-99.0], "object_id": ["PS0909006"], "obj_type": ["SN Ia"],
}  # fmt: skip
LASAIR_LSST = """diaSourceId,diaObjectId,midpointMjdTai,band,psfFlux,psfFluxErr,ra,decl,pixelFlags_bad,reliability
1,42,61000.25,g,3981.07,200.0,10.0,5.0,False,0.9
2,42,61001.25,r,-3981.07,200.0,10.0,5.0,False,0.9
3,42,61002.25,r,9e9,200.0,10.0,5.0,True,0.1
"""
SNANA = """SURVEY: PS1MD
SNID:  PScA470041
RA:        52.4530625  deg
DECL:       -29.0749750  deg
MWEBV: 0.0075 +- 0.0003 MW E(B-V)
REDSHIFT_FINAL:  0.0713 +- 0.0010  (CMB)
SEARCH_PEAKMJD: 55207.0
FILTERS:    griz

NOBS: 3
NVAR:   7
VARLIST: MJD  FLT FIELD   FLUXCAL   FLUXCALERR    MAG     MAGERR

OBS: 55086.6 g NULL  -243.440 231.478 nan -1.032
OBS: 55191.3 g NULL  400.0 20.0 20.99 0.05
OBS: 55192.3 r NULL  50.0 20.0 23.25 0.4
"""
SKYPORTAL = """obj_id,mjd,filter,flux,fluxerr,zp,magsys,instrument_name,origin
ZTF1,59000.25,ztfg,100.0,10.0,25.0,ab,ZTF,
ZTF1,59001.25,ztfr,-10.0,10.0,25.0,ab,ZTF,
ZTF1,59002.25,sdssr,100.0,10.0,25.0,ab,SEDM,
"""
RUBIN_DP1 = """objectId,diaObjectId,visit,detector,band,expMidptMJD,psfDiffFlux,psfDiffFluxErr,psfDiffFlux_flag,psfFlux,psfFluxErr,psfFlux_flag,invalidPsfFlag
0,42,1,1,g,60650.25,3981.07,200.0,False,9e4,200.0,True,False
0,42,2,1,r,60651.25,-398.107,200.0,False,9e4,200.0,False,False
0,42,3,1,r,60652.25,9e9,200.0,False,9e4,200.0,False,True
"""
PLASTICC = """object_id,mjd,passband,flux,flux_err,detected_bool
13,59750.25,1,100.0,10.0,1
13,59751.25,2,-3.5,8.0,0
13,59752.25,4,12.5,20.0,0
"""


def save(content: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path
