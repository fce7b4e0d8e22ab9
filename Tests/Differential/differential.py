"""Compares the gateway's parsers with others: `differential.py PROBE TARGET=CASES...`, where TARGET is scanner, splicer or events.

The cases of a batch follow from SEED and its number, so a difference is found again with the same SEED.
"""

import base64
import os
import random
import sys
import time

import events
import scanner
import splicer
from wire import Probe

TARGETS = {"scanner": scanner, "splicer": splicer, "events": events}
BATCH = 100


def run(program, name, count, seed):
    target, probe, begun = TARGETS[name], Probe(program), time.monotonic()
    for batch in range(0, count, BATCH):
        source = random.Random(f"{seed} {name} {batch}")
        cases = [target.case(source) for _ in range(min(BATCH, count - batch))]
        answers = probe.ask([case for case, _ in cases])
        for index, ((case, made), answer) in enumerate(zip(cases, answers, strict=True)):
            if difference := target.check(made, answer):
                print(f"{name}: case {batch + index} differs, SEED={seed}: {made!r}\n{base64.b64encode(case).decode()}\n{difference}")
                return False
    probe.close()
    print(f"{name}: {count} cases, none differs ({time.monotonic() - begun:.0f} s)", flush=True)
    return True


def main():
    seed = os.environ.get("SEED") or str(random.SystemRandom().randrange(1 << 30))
    print(f"SEED={seed}", flush=True)
    wanted = [argument.split("=") for argument in sys.argv[2:]]
    results = [run(sys.argv[1], name, int(count), seed) for name, count in wanted]
    sys.exit(0 if all(results) else 1)


main()
