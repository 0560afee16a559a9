"""Entry point of `python -m astra`, for launchers: `accelerate launch -m astra train EXPERIMENT`."""

import sys

from astra.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
