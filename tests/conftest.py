"""Before torch is loaded: idle threads must not spin, or small steps beside other load take many times longer."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
