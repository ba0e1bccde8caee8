"""deploy-watch: after a deploy, watch what users do and say; roll back the deploy that made it worse."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# Read when numpy is loaded, which is later. Our systems of equations are small: threads of OpenBLAS only wait for each
# other, at up to eight times the processor time, and take it from the threads that are ours.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
