"""`python -m services.diarization`: Who speaks when."""

from services.diarization.service import new_expert
from services.runtime.main import expert_main

if __name__ == "__main__":
    expert_main("diarization", "Who speaks when.", new_expert)
