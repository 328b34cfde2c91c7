"""Template tags and filters that every template has without loading them."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput
from django.http import HttpRequest, QueryDict
from django.template import Context
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core import metrics

register = template.Library()

NOTHING = "–"  # noqa: RUF001  what a figure that does not exist looks like
TONES = {
    "queued": "info",
    "running": "info",
    "succeeded": "ok",
    "published": "ok",
    "added": "ok",
    "active": "ok",
    "failed": "bad",
    "refused": "bad",
    "revoked": "bad",
    "cancelled": "warn",
    "expired": "warn",
    "duplicate": "warn",
}
LIVE_STATES = ("queued", "running")


def _number(value: object) -> float | None:
    """`value` as a finite number, or None."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


@register.filter
def percent(value: object, digits: int = 1) -> str:
    """A share in 0..1 as percents: 0.9123 -> "91.2 %". None or NaN -> "–"."""  # noqa: RUF002
    number = _number(value)
    return NOTHING if number is None else f"{100 * number:.{digits}f} %"


@register.filter
def figure(value: object) -> str:
    """A figure with three significant digits: 0.012345 -> "0.0123", 12345 -> "12,345"."""
    number = _number(value)
    if number is None:
        return NOTHING
    if isinstance(value, int) or (number.is_integer() and abs(number) < 1e15):
        return f"{int(number):,}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    if abs(number) < 1e-4:
        return f"{number:.2e}"
    return f"{number:.{2 - math.floor(math.log10(abs(number)))}f}"


@register.filter(name="bytes")
def bytes_(value: object) -> str:
    """A size in bytes, in powers of 1000: 1234567 -> "1.2 MB"."""
    number = _number(value)
    if number is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


@register.filter
def duration(seconds: object) -> str:
    """A time in seconds, in at most two units: 80 -> "1 min 20 s"."""
    number = _number(seconds)
    if number is None or number < 0:
        return NOTHING
    if number < 1:
        return f"{1000 * number:.0f} ms"
    if number < 10:
        return f"{number:.1f} s"
    whole = round(number)
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A moment as "5 min ago" in a `<time>` that holds the exact one."""
    if moment is None:
        return NOTHING
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < 45:
        text = "just now"
    elif seconds < 3600:
        text = f"{max(1, round(seconds / 60))} min ago"
    elif seconds < 86400:
        text = f"{round(seconds / 3600)} h ago"
    elif seconds < 30 * 86400:
        days = round(seconds / 86400)
        text = "yesterday" if days == 1 else f"{days} days ago"
    else:
        text = f"{timezone.localtime(moment):%-d %b %Y}"
    exact = f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S %Z}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, text)


@register.filter
def state_tone(state: object) -> str:
    """The tone of a state's badge: "ok", "warn", "bad", "info" or "" (quiet)."""
    return TONES.get(str(state), "")


@register.filter
def is_live(state: object) -> bool:
    """Whether work in this state is still going on."""
    return str(state) in LIVE_STATES


@register.filter
def message_icon(level: str) -> str:
    """The icon of a message of django.contrib.messages, by its level."""
    return {"success": "check", "warning": "warn", "error": "warn"}.get(level, "info")


@register.filter
def is_checkbox(field: BoundField) -> bool:
    """Whether a form field is a single checkbox, whose label stands behind it."""
    return isinstance(field.field.widget, CheckboxInput)


@register.filter
def metric_label(name: str) -> str:
    """The name people read: "cmc@1" -> "CMC@1"."""
    return metrics.label(name)


@register.filter
def metric_definition(name: str) -> str:
    """What the figure says, in a sentence or two."""
    return metrics.definition(name)


@register.filter
def get_item(mapping: Mapping[Any, Any] | None, key: Any) -> Any:
    """`mapping[key]`, for keys that a template cannot spell ("cmc@1"); None where there is none."""
    return mapping.get(key) if mapping else None


@register.filter
def share_done(job: Any) -> float | None:
    """How much of the work is done, 0..1; None while the total is not known."""
    total = getattr(job, "progress_total", 0)
    return min(1.0, job.progress_done / total) if total else None


@register.filter
def seconds_left(job: Any) -> float | None:
    """Time left: the job's own `seconds_left` where it has one, else by the mean pace since it started."""
    own = getattr(job, "seconds_left", None)
    if own is not None:
        return float(own)
    share = share_done(job)
    if not share or share < 0.02 or job.started_at is None:
        return None
    return float((timezone.now() - job.started_at).total_seconds() * (1 - share) / share)


@register.filter
def seconds_taken(job: Any) -> float | None:
    """From start to finish, or until now."""
    if job.started_at is None:
        return None
    return float(((job.finished_at or timezone.now()) - job.started_at).total_seconds())


@register.simple_tag
def thumb_url(sample: Any, size: int = 320) -> str:
    """The address of a sample's thumbnail. An object with a `thumb_url` of its own shows that one."""
    own = getattr(sample, "thumb_url", None)
    if own:
        return str(own)
    try:
        return reverse("datasets:thumb", args=[getattr(sample, "pk", None), size])
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def url_with(context: Context, **changes: object) -> str:
    """The present address with some parameters replaced and the others kept; None or "" removes one.

    `{% url_with page=None split="train" %}` -> "?label=mug&split=train"
    """
    request: HttpRequest | None = context.get("request")
    query = request.GET.copy() if request else QueryDict(mutable=True)
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}"


@register.simple_tag
def sparkline(values: Iterable[float], label: str = "") -> SafeString | str:
    """A line of a few figures without axes, as SVG in a box of 100 x 24."""
    figures = [number for number in map(_number, values or ()) if number is not None]
    if len(figures) < 2:
        return ""
    low, high = min(figures), max(figures)
    span = (high - low) or 1.0
    points = " ".join(
        f"{100 * i / (len(figures) - 1):.1f},{22 - 20 * (number - low) / span:.1f}" for i, number in enumerate(figures)
    )
    text = label or f"from {figure(figures[0])} to {figure(figures[-1])}"
    return format_html(
        '<svg class="sparkline" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<polyline points="{}" vector-effect="non-scaling-stroke"/></svg>',
        text,
        points,
    )


@register.inclusion_tag("components/histogram.html")
def histogram(
    bins: Iterable[Mapping[str, Any]], unit: str = "", threshold: float | None = None, label: str = ""
) -> dict[str, Any]:
    """Bars of counts as SVG.

    `bins`: {"low": float, "high": float, "count": int} in rising order, with an optional "count_other" drawn over it
    (say, distances of pairs of one label and of two). `threshold` draws a line at a value inside the range.
    """
    rows = list(bins)
    highest = max((max(row["count"], row.get("count_other", 0)) for row in rows), default=0) or 1
    step = 400 / max(1, len(rows))
    bars = [
        {
            **row,
            "x": round(i * step + step * 0.06, 2),
            "width": round(step * 0.88, 2),
            "height": round(110 * row["count"] / highest, 2),
            "y": round(116 - 110 * row["count"] / highest, 2),
            "height_other": round(110 * row.get("count_other", 0) / highest, 2),
            "y_other": round(116 - 110 * row.get("count_other", 0) / highest, 2),
        }
        for i, row in enumerate(rows)
    ]
    line = None
    if threshold is not None and rows and rows[-1]["high"] > rows[0]["low"]:
        line = round(400 * (threshold - rows[0]["low"]) / (rows[-1]["high"] - rows[0]["low"]), 2)
    return {
        "bars": bars,
        "unit": unit,
        "threshold": threshold,
        "line": line,
        "low": rows[0]["low"] if rows else None,
        "high": rows[-1]["high"] if rows else None,
        "label": label or "Histogram",
        "total": sum(row["count"] + row.get("count_other", 0) for row in rows),
    }
