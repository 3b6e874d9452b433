"""Alert packets of ZTF and Rubin."""
