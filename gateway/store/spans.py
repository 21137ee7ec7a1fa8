"""Sets of openings as spans: sorted, none touching the next. Pure."""

from collections.abc import Iterable

from gateway.store.history import Span


def add(spans: Iterable[Span], new: Span) -> list[Span]:
    """Return the spans and a further one; what touches becomes one."""
    if new.from_ms >= new.to_ms:
        return list(spans)
    before, after = [], []
    from_ms, to_ms = new
    for span in spans:
        if span.to_ms < new.from_ms:
            before.append(span)
        elif span.from_ms > new.to_ms:
            after.append(span)
        else:
            from_ms, to_ms = min(from_ms, span.from_ms), max(to_ms, span.to_ms)
    return [*before, Span(from_ms, to_ms), *after]


def remove(spans: Iterable[Span], gone: Span) -> list[Span]:
    """Return what is left of the spans without one."""
    if gone.from_ms >= gone.to_ms:
        return list(spans)
    left: list[Span] = []
    for span in spans:
        left.append(Span(span.from_ms, min(span.to_ms, gone.from_ms)))
        left.append(Span(max(span.from_ms, gone.to_ms), span.to_ms))
    return [span for span in left if span.from_ms < span.to_ms]


def clip(spans: Iterable[Span], window: Span) -> list[Span]:
    """Return the parts of the spans that lie in a window."""
    parts = (Span(max(span.from_ms, window.from_ms), min(span.to_ms, window.to_ms)) for span in spans)
    return [span for span in parts if span.from_ms < span.to_ms]
