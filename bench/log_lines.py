"""What a log line costs with the mask for secrets in front of its handler.

    python -m bench.log_lines [--rounds N]

The same line goes through a handler that writes to a file, without the mask, with one secret in use
and with 25, in turns. The medians of the ratios to the line without are printed.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import time

from vinci_code.core.redaction import forget_secrets, register_secret

LINES = 2_000
LIMIT = 1.2
SECRETS = (1, 25)


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    options = parser.parse_args()
    log = logging.getLogger("bench.log_lines")
    log.setLevel(logging.INFO)
    log.propagate = False
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - no file of ours
        handler = logging.StreamHandler(nowhere)
        form = "%(asctime)s %(levelname)s %(name)s %(message)s"
        handler.setFormatter(logging.Formatter(form))
        log.addHandler(handler)
        ratios: dict[int, list[float]] = {count: [] for count in SECRETS}
        for _ in range(options.rounds):
            plain = seconds(log, 0)
            for count, found in ratios.items():
                found.append(seconds(log, count) / plain)
    for count, found in ratios.items():
        ratio = statistics.median(found)
        print(f"{count:3} secrets: {ratio:.2f}{'' if ratio <= LIMIT else '   *'}")


def seconds(log: logging.Logger, secrets: int) -> float:
    """How long the lines take with so many secrets in use."""
    chance = random.Random(secrets)
    for _ in range(secrets):
        register_secret(f"dapi{chance.getrandbits(128):032x}")
    begin = time.perf_counter()
    for number in range(LINES):
        log.info("committed %d rows of the table %s in %.3f s", number, "events", 0.123)
    took = time.perf_counter() - begin
    forget_secrets()
    return took


if __name__ == "__main__":
    main()
