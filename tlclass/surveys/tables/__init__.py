"""Tables of observations and objects, and tables with one row per object."""
