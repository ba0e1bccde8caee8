"""Otava's own code behind JSON lines: `{"values": [...]}` in, `{"points": [...], "seconds": s}` out."""

import json
import sys
import time

from otava.analysis import compute_change_points  # its own environment: benchmarks/otava/requirements.txt


def answer(values: list[float]) -> dict[str, object]:
    """Change points at Otava's defaults: where, how sure, and the means before and after."""
    began = time.process_time()
    points, _ = compute_change_points(values)
    seconds = time.process_time() - began
    return {
        "points": [
            {"index": each.index, "p": each.stats.pvalue, "before": each.stats.mean_1, "after": each.stats.mean_2}
            for each in points
        ],
        "seconds": seconds,
    }


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)["values"]), default=float), flush=True)
