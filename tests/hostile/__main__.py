"""The campaign of hostile inputs and kills: `python -m tests.hostile [--only SECTION] [--seed N] [--count N]`.

Every case runs in a process of its own. What was found is printed as a table; a case with a fault keeps its folder.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "SDL_VIDEODRIVER": "dummy"}

from tests.hostile.campaign import SECTIONS, run_section
from tests.hostile.verdicts import table


def main() -> int:
    """Run the campaign and return 1 if it found a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--only", choices=SECTIONS, help="one section alone")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything that is random")
    parser.add_argument("--count", type=int, help="number of cases of each section")
    parser.add_argument("--case", type=int, nargs="+", help="numbers of the only cases to run, with --only")
    parser.add_argument("--workers", type=int, default=2, help="number of cases at the same time")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore Ctrl-C
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    started, results = time.monotonic(), []
    try:
        for section, count in SECTIONS.items():
            if options.only in (None, section):
                count = max([options.count or count, *(number + 1 for number in options.case or ())])
                for result in run_section(section, folder, options.seed, count, options.workers, options.case):
                    results.append(result)
                    if result.is_fault or options.verbose:
                        print(f"{result}  [{result.seconds:.1f} s, {result.megabytes:.0f} MB]", flush=True)
    except KeyboardInterrupt:
        print("interrupted: the table shows the cases so far")
    faults = sum(result.is_fault for result in results)
    print(
        f"\n{table(results)}\n\nseed {options.seed}, {(time.monotonic() - started) / 60:.1f} minutes, {faults} faults"
    )
    print(f"folder: {folder}" if faults else "", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
