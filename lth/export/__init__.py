"""From a finished round to a simpler network: dead channels removed, and files that run without lth. Imports no torch here."""

CARD = "lth-card-1"  # the format of card.json
FORMATS = ("onnx", "pt2", "safetensors")  # files that are written
RUNTIMES = ("eager", "export", "onnxruntime")  # what is timed
