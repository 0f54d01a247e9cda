"""Check what an installed wheel adds to site-packages: exactly two importable names, with the files that they read."""

import sys
from importlib import metadata, resources

files = metadata.files("analogsim") or []
names = sorted({file.parts[0] for file in files if not file.parts[0].endswith(".dist-info") and file.parts[0] != ".."})
missing = [
    f"{package}/{name}"
    for package, name in (
        ("analogsim.report.page", "templates/page.html"),
        ("analogsim.scenarios", "quickstart.yaml"),
        ("device_models.presets", "noisy.yaml"),
    )
    if not (resources.files(package) / name).is_file()
]
if names != ["analogsim", "device_models"] or missing:
    sys.exit(f"the wheel adds {names} to site-packages, lacks {missing}; it should add analogsim and device_models")
print("the wheel adds exactly: " + ", ".join(names))
