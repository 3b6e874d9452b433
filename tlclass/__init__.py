"""Transfer learning for the classification of astronomical transients."""

__version__ = "0.1.0"
