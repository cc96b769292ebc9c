"""`python -m services.asr`: Streaming speech recognition."""

from services.asr.riva import add_riva
from services.asr.service import new_expert
from services.runtime.main import expert_main

if __name__ == "__main__":
    expert_main("asr", "Streaming speech recognition.", new_expert, more=[add_riva])
