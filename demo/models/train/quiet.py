"""Lets other work measure in peace: training stands still while the file that QUIET names exists."""
import os
import time

FILE = os.environ.get("QUIET", "")


def wait():
    """Seconds that were waited."""
    began = time.time()
    while FILE and os.path.exists(FILE):
        time.sleep(1)
    return time.time() - began
