"""Run a command that dies with its parent: `python lifeline.py PARENT_PID COMMAND...` becomes the command.

A wrapper, because what runs between fork and exec in a process with threads can hang it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); the setting outlives execve


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could tie ourselves to it
        sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
