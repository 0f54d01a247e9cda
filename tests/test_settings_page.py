"""docs/settings.md is what the models say."""

import re
import runpy
from pathlib import Path

from analogsim.learning import RULES
from device_models.registry import EFFECTS

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "settings_page.py"


def test_the_page_is_made_of_the_models() -> None:
    made = runpy.run_path(str(SCRIPT))["page"]()
    assert made == (ROOT / "docs" / "settings.md").read_text(), "run `python scripts/settings_page.py`"


def test_the_page_has_every_rule_and_kind_of_effect_once_and_links_that_lead_there() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    headings = re.findall(r"^#{2,3} (.*)$", text, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(anchors)
    for name in RULES:
        assert f"`arms.NAME`, `rule: {name}`" in headings
    for effect in EFFECTS:
        kind = effect.model_fields["kind"].annotation.__args__[0]
        assert any(each.endswith(f"`kind: {kind}`") for each in headings)
