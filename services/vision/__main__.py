"""`python -m services.vision`: Text, controls and objects on the screen."""

from services.runtime.main import expert_main
from services.vision.service import new_expert

if __name__ == "__main__":
    expert_main("vision", "Text, controls and objects on the screen.", new_expert)
