"""Where a reader looks: the files of a folder or of an unpacked archive, and the one file a person pointed at, if any."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.data.pictures import Tree


@dataclass(frozen=True, slots=True)
class Place:
    """`inside`: the files came out of an archive, so no table may point outside, and archives stay closed.

    `given`: the file a person named instead of a folder (`instances.json`), relative to the tree: the only document to read.
    """

    tree: Tree
    inside: bool = False
    given: str | None = None

    def documents(self, *suffixes: str, depth: int = 3) -> tuple[str, ...]:
        """Files that end in one of `suffixes` (lower case), at most `depth` folders down; only `given` where there is one."""
        files = self.tree.files if self.given is None else (self.given,)
        return tuple(file for file in files if file.lower().endswith(suffixes) and file.count("/") <= depth)
