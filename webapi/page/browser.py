"""A user agent in words: `Chrome 142 on macOS`. Pure; the raw text always stands beside it.

User agents are what their senders want them to be, so this names what they say and no more. The
order counts: every browser also says that it is those that came before it.
"""

import re
from typing import Final

MAX_CHARACTERS: Final = 512
_AGENTS: Final = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/(\d+)")),
    ("Opera", re.compile(r"\b(?:OPR|Opera)/(\d+)")),
    ("Vivaldi", re.compile(r"\bVivaldi/(\d+)")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/(\d+)")),
    ("Electron", re.compile(r"\bElectron/(\d+)")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS|HeadlessChrome)/(\d+)")),
    ("Safari", re.compile(r"\bVersion/(\d+)[\d.]*(?: Mobile/\S+)? Safari/")),
    ("Safari", re.compile(r"\bVersion/(\d+)[\d.]* Mobile/")),
)
_SYSTEMS: Final = (
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\b(?:Macintosh|Mac OS X)\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)
_PRODUCT: Final = re.compile(r"([A-Za-z][\w .-]{0,40}?)/v?(\d+(?:\.\d+){0,2})")


def describe(user_agent: str) -> str | None:
    """Return browser or program and system in words; None where nothing is recognised."""
    text = user_agent[:MAX_CHARACTERS]
    system = next((name for name, pattern in _SYSTEMS if pattern.search(text)), None)
    for name, pattern in _AGENTS:
        match = pattern.search(text)
        if match:
            return f"{name} {match[1]} on {system}" if system else f"{name} {match[1]}"
    product = _PRODUCT.match(text)
    if product is None or product[1] == "Mozilla":
        return system
    return f"{product[1]} {product[2]}"
