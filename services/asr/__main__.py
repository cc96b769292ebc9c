"""`python -m services.asr`: Streaming speech recognition.

SENSORIUM_ASR_MODEL names an imported model to use in the place of Moonshine and Whisper (docs/checkpoints.md).
"""

import os
from functools import partial

from services.asr.cache_aware_service import CacheAwareExpert
from services.asr.riva import add_riva
from services.asr.service import new_expert
from services.runtime.main import expert_main

if __name__ == "__main__":
    chosen = os.environ.get("SENSORIUM_ASR_MODEL", "")
    expert = partial(CacheAwareExpert, chosen) if chosen else new_expert
    expert_main("asr", "Streaming speech recognition.", expert, more=[add_riva])
