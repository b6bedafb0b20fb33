"""Text from files, made safe for HTML."""

from __future__ import annotations

import html

_TURNING = dict.fromkeys(map(ord, "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))


def escape(value: object) -> str:
    """Text for HTML, in elements and in quoted attributes; characters that turn the direction of text are taken out.

    >>> escape("<b> & 'x'")
    '&lt;b&gt; &amp; &#x27;x&#x27;'
    """
    return html.escape(str(value).translate(_TURNING))
