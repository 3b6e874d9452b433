"""SNANA files: FITS and text."""
