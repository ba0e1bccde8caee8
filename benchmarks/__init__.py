"""What the watcher costs, and how well it decides, beside others."""

import os

# One thread a process: the processes share the cores. Read by numpy when it is loaded, so this comes first.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
