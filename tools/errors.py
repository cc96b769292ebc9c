"""What may go wrong in a command, each with a sentence for people and an exit code.

ToolError (1)
├── InputError (2)         what the caller gave cannot be used
│   └── MediaFileError     a file cannot be read as sound or video
├── GatewayError (1 or 2)  a call failed; 2 when what was sent is at fault
├── IncompleteError        a service gave nothing, or only a part
├── ServicesError          the services cannot be reached or started
├── PortTakenError         something else listens where a service should
└── AlreadyUpError         another supervisor holds the state folder
"""

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class ToolError(Exception):
    """Root of this room's errors."""

    exit_code = FAILED


class InputError(ToolError):
    """What the caller gave cannot be used."""

    exit_code = BAD_INPUT


class MediaFileError(InputError):
    """The file cannot be read as sound or video."""


class GatewayError(ToolError):
    """A call failed; `is_input` tells that what was sent is at fault."""

    def __init__(self, message: str, *, is_input: bool = False) -> None:
        super().__init__(message)
        self.is_input = is_input
        self.exit_code = BAD_INPUT if is_input else FAILED


class IncompleteError(ToolError):
    """A result was written, but a service refused its settings or was away at the end."""


class ServicesError(ToolError):
    """The services cannot be reached or started."""


class PortTakenError(ToolError):
    """Something else listens where a service should."""


class AlreadyUpError(ToolError):
    """Another supervisor holds the state folder."""
