"""Several surveys of the same objects: an object's observations of all of them are one light curve."""
