"""Target `c`: the model as one C header, for programs that have no file system: bytes, input size, names of the classes.

The bytes are ONNX Runtime's mobile format, which loads from aligned memory without being copied or parsed.
"""

from __future__ import annotations

import re
from pathlib import Path

from sightline.errors import TargetError
from sightline.runtime.bundle import Bundle
from sightline.targets.onnxfile import engine, write_beside
from sightline.targets.ortfile import ort_bytes
from sightline.targets.readme import readme, takes
from sightline.targets.target import Made, Wishes

HEADER = "model.h"
LARGEST = 2_000_000  # bytes of a model; five times as many characters of C, which compilers still take
_EACH_LINE = 16

_CODE = """
```c
#include <onnxruntime_c_api.h>
#include "model.h"

/* keep the bytes where they are: session options "session.use_ort_model_bytes_directly" = "1" */
api->CreateSessionFromArray(env, sightline_model, sightline_model_size, options, &session);
```"""


def write(bundle: Bundle, folder: Path, _: Wishes) -> Made:
    """Write model.h and what lies beside; TargetError for a model above 2 MB."""
    content = ort_bytes(bundle.onnx)
    if len(content) > LARGEST:
        raise TargetError(
            f"the model has {len(content) / 1e6:.1f} MB, and a C header holds at most {LARGEST / 1e6:.0f} MB: "
            "compilers and microcontrollers take no more",
            hint="make it smaller with `sightline compress MODEL DATA --max-size 2MB`, or choose --to ort",
            detail={"bytes": len(content), "most": LARGEST},
        )
    (folder / HEADER).write_text(header(bundle, content), encoding="ascii")
    write_beside(bundle, folder, readme(bundle, HEADER, _CODE))
    return Made(HEADER, engine(content_of((folder / HEADER).read_text(encoding="ascii"))))


def header(bundle: Bundle, content: bytes) -> str:
    """The header's text: C99 and C++11, ASCII only."""
    card = bundle.card
    rows = [content[start : start + _EACH_LINE] for start in range(0, len(content), _EACH_LINE)]
    body = "\n".join("  " + "".join(f"0x{byte:02x}," for byte in row) for row in rows)
    names = "\n".join(f"  {quoted(name)}," for name in card.classes)
    thresholds = ""
    if card.thresholds:
        values = ", ".join(_float(card.thresholds.get(name, 0.5)) for name in card.classes)
        about = "/* the score from which each label is given */"
        thresholds = f"\n{about}\nstatic const float sightline_thresholds[SIGHTLINE_CLASS_COUNT] = {{{values}}};\n"
    return f"""/* {_comment(card.name)}, model {card.id}: ONNX Runtime's mobile format. Made with Sightline; do not edit. */
#ifndef SIGHTLINE_MODEL_H
#define SIGHTLINE_MODEL_H

#if defined(__cplusplus)
#define SIGHTLINE_ALIGNED alignas(16)
#elif defined(__GNUC__) || defined(__clang__)
#define SIGHTLINE_ALIGNED __attribute__((aligned(16)))
#elif defined(_MSC_VER)
#define SIGHTLINE_ALIGNED __declspec(align(16))
#else
#define SIGHTLINE_ALIGNED _Alignas(16)
#endif

/* {_comment(takes(bundle))} */
#define SIGHTLINE_INPUT_SIZE {card.input.size} /* pixels a side */
#define SIGHTLINE_CLASS_COUNT {len(card.classes)}
#define SIGHTLINE_UNSURE_BELOW {_float(card.unsure_below)}

static const char *const sightline_classes[SIGHTLINE_CLASS_COUNT] = {{
{names}
}};
{thresholds}
static const unsigned int sightline_model_size = {len(content)}u;
SIGHTLINE_ALIGNED static const unsigned char sightline_model[{len(content)}] = {{
{body}
}};

#endif
"""


def content_of(text: str) -> bytes:
    """The model's bytes out of a header's text: what a compiler would put into memory."""
    body = text[text.index("static const unsigned char") :]
    return bytes(int(number, 16) for number in re.findall(r"0x([0-9a-f]{2}),", body))


def quoted(name: str) -> str:
    """A name as a C string literal: UTF-8 in octal, so that neither the file's encoding nor trigraphs matter."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in name.encode()) + '"'


def _float(value: float) -> str:
    text = f"{value:.9g}"
    return f"{text if '.' in text or 'e' in text else text + '.0'}f"


def _comment(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9 ._-]", "_", name)[:80]
