"""The two ways in which data can be wrong."""


class InputError(Exception):
    """The configuration, a table or an archive is wrong: nothing can be computed.

    The message names the file or key and the remedy; the command line prints it without a
    traceback and ends with exit status 2.
    """


class ImageError(Exception):
    """One image (or one pair) cannot be used; the message is the reason for its exclusion.

    The reason becomes a row of ``exclusions.csv`` and must hold no patient data. Everything else
    goes on.
    """
