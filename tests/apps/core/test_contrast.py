"""The colours of static/css/tokens.css meet WCAG 2.2 AA in both themes."""

import math
import re
from pathlib import Path

import pytest
from django.conf import settings

PAIR = re.compile(r"--([\w-]+):\s*light-dark\(oklch\(([^)/]+)\), oklch\(([^)/]+)\)\);")
TEXTS = ["text", "muted", "brand", "ok", "warn", "bad", "info"]


def luminance(colour: str) -> float:
    """Relative luminance of "49% 0.19 288" (lightness, chroma, hue in degrees), by Ottosson's OKLab to linear sRGB."""
    lightness, chroma, hue = (float(part.rstrip("%")) for part in colour.split())
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    base = lightness / 100
    long = (base + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (base - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (base - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    red, green, blue = (min(1.0, max(0.0, part)) for part in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TOKENS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in PAIR.findall((Path(settings.ROOT) / "static/css/tokens.css").read_text())
}


def test_the_reckoning_itself() -> None:
    assert contrast("100% 0 0", "0% 0 0") == pytest.approx(21, rel=1e-3)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ground", ["bg", "surface", "sunken", "raised", "hover"])
def test_words_can_be_read(text: str, ground: str, theme: str) -> None:
    assert contrast(TOKENS[text][theme], TOKENS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tone", ["ok", "warn", "bad", "info"])
def test_badges_and_notices_can_be_read(tone: str, theme: str) -> None:
    ground = TOKENS[f"{tone}-soft"][theme]
    for text in (tone, "text", "muted"):
        assert contrast(TOKENS[text][theme], ground) >= 4.5, text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_buttons_can_be_read_and_fields_have_an_edge(theme: str) -> None:
    assert contrast(TOKENS["on-accent"][theme], TOKENS["brand"][theme]) >= 4.5
    assert contrast(TOKENS["brand"][theme], TOKENS["accent-soft"][theme]) >= 4.5
    assert contrast(TOKENS["line-control"][theme], TOKENS["surface"][theme]) >= 3
