"""`python -m services.diarization`: Who speaks when."""

from services.runtime.main import expert_main
from services.runtime.stage import Expert


def _new_expert(threads: int) -> Expert:
    # Which models there are is read with the module: an unknown name ends the process with a sentence.
    from services.diarization.service import new_expert

    return new_expert(threads)


if __name__ == "__main__":
    expert_main("diarization", "Who speaks when.", _new_expert)
