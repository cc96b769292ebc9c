"""`python -m engines.kernels.simulator FOLDER` makes the simulated libcuda there."""

import sys
from pathlib import Path

from engines.kernels.simulator import build_driver

build_driver(Path(sys.argv[1]))
