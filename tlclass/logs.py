"""What commands log on standard error."""

import logging

TIMED = "%(asctime)s %(levelname)s %(message)s"


def log_to_terminal(form: str = "%(levelname)s %(message)s", time: str | None = None) -> None:
    """Log from INFO on, but not what matplotlib says of its cache of fonts.

    Args:
        form: of a line. time: form of its time, as of `time.strftime`; None: date and time.
    """
    logging.basicConfig(level=logging.INFO, format=form, datefmt=time)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
