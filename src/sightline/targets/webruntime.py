"""Where onnxruntime-web comes from: the two files that compute a model inside a browser. One pinned version, checked by hash.

Looked for in a folder or archive that a person names, then in the cache, then fetched by npm. Knows no page.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sightline import progress
from sightline.errors import FetchError, MissingExtraError, NotFoundError, UsageError
from sightline.files import new_folder
from sightline.settings import settings

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
# of the package as npm packs it: what its registry states as `dist.integrity`
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# our name -> its name in the package, SHA-256
FILES = {
    "ort.js": ("ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
    "ort.wasm": ("ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
}
_SECONDS = 600


def files(given: Path | None) -> dict[str, bytes]:
    """ort.js and ort.wasm of the pinned version; from `given` (a folder, or the archive that `npm pack` makes), cache or npm.

    Raises NotFoundError, UsageError (another version), MissingExtraError (offline, or no npm), FetchError.
    """
    if given is not None:
        return _from_given(given.expanduser())
    kept = settings().cache / f"{PACKAGE}-{VERSION}"
    if all((kept / name).is_file() for name in FILES):
        found = {name: (kept / name).read_bytes() for name in FILES}
        if not _wrong(found):
            return found
    found = _fetched()
    with new_folder(kept, replace=True) as part:
        for name, content in found.items():
            (part / name).write_bytes(content)
    return found


def _from_given(given: Path) -> dict[str, bytes]:
    if given.is_file():
        return _unpacked(given.read_bytes(), given)
    if not given.is_dir():
        raise NotFoundError(f"no such folder or file: {given}", hint=_by_hand())
    places = [given, given / "dist", given / "package" / "dist"]
    found = {}
    for name, (original, _) in FILES.items():
        path = next((place / one for place in places for one in (name, original) if (place / one).is_file()), None)
        if path is None:
            raise NotFoundError(f"{given} holds no {original}", hint=_by_hand())
        found[name] = path.read_bytes()
    return _checked(found, given)


def _fetched() -> dict[str, bytes]:
    """What `npm pack` brings: the registry's own client, with the registry that it is set up for."""
    npm = shutil.which("npm")
    if settings().offline or npm is None:
        why = "SIGHTLINE_OFFLINE is set" if settings().offline else "npm is not installed here"
        raise MissingExtraError(f"a web page needs {PACKAGE} {VERSION}, and {why}", hint=_by_hand())
    with tempfile.TemporaryDirectory() as scratch, progress.task(f"Fetching {PACKAGE} {VERSION}"):
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent", "--pack-destination", scratch]
        try:
            done = subprocess.run(
                command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise FetchError(f"npm did not bring {PACKAGE}: {error}", hint=_by_hand()) from error
        packed = sorted(Path(scratch).glob("*.tgz"))
        if done.returncode or not packed:
            said = " ".join(done.stderr.split())[-200:] or f"it ended with {done.returncode}"
            raise FetchError(f"npm did not bring {PACKAGE} {VERSION}: {said}", hint=_by_hand())
        return _unpacked(packed[0].read_bytes(), packed[0].name)


def _unpacked(archive: bytes, where: object) -> dict[str, bytes]:
    """The two files of a package as npm packs it; UsageError when it is not the pinned one, byte for byte."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != INTEGRITY:
        raise UsageError(f"{where} is not {PACKAGE} {VERSION}: its checksum is another one", hint=_by_hand())
    with tempfile.TemporaryFile() as stream:
        stream.write(archive)
        stream.seek(0)
        contents = {}
        with tarfile.open(fileobj=stream, mode="r:gz") as tar:
            for name, (original, _) in FILES.items():
                member = tar.extractfile(f"package/dist/{original}")
                contents[name] = member.read() if member else b""
    return _checked(contents, where)


def _checked(found: dict[str, bytes], where: object) -> dict[str, bytes]:
    wrong = _wrong(found)
    if wrong:
        raise UsageError(f"{where} is not {PACKAGE} {VERSION}: {wrong[0]} has another checksum", hint=_by_hand())
    return found


def _wrong(found: dict[str, bytes]) -> list[str]:
    """The files that are not the pinned ones."""
    return [FILES[name][0] for name, content in found.items() if hashlib.sha256(content).hexdigest() != FILES[name][1]]


def _by_hand() -> str:
    return f"fetch it where there is a network with `npm pack {PACKAGE}@{VERSION}`, then give that file with --runtime"
