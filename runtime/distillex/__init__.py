"""Extract names, companies, places, positions and more from Chinese text, in this process.

::

    import distillex

    tagger = distillex.load()
    tagger.extract("华为技术有限公司与复旦大学签署协议。")
    tagger.extract("青石云科发布了新产品。", lexicon={"青石云科": "company"})

Offsets are Unicode code points in the caller's own text, end-exclusive:
``text[entity.start:entity.end] == entity.text``. The same entities come from a server through ``distillex_client``.
"""

from distillex_client.documents import split_document
from distillex_client.entity import Entity, Extraction
from distillex_client.errors import ExtractorError, InvalidRequest, InvalidText, ModelNotFound
from distillex_client.render import render, render_terminal
from distillex_matcher import LayoutError, LexiconError, __version__

from distillex.device import Device
from distillex.errors import DeviceError
from distillex.tagger import Tagger, load

__all__ = [
    "Device",
    "DeviceError",
    "Entity",
    "Extraction",
    "ExtractorError",
    "InvalidRequest",
    "InvalidText",
    "LayoutError",
    "LexiconError",
    "ModelNotFound",
    "Tagger",
    "__version__",
    "load",
    "render",
    "render_terminal",
    "split_document",
]
