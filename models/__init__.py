"""The airline use case, the registry, the scoring interface and the evidence for a swap."""

import os

# onnxruntime's wheels send usage data to their maker, and write into the home and temporary folders for it, unless
# told otherwise before they are first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
