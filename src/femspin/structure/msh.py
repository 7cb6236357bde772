"""The gmsh file format: MSH 2.x, 4.0 and 4.1, as text and binary, in one piece or partitioned.

The format is that of the gmsh reference manual, chapter "Gmsh mesh file formats"
(https://gmsh.info/doc/texinfo/gmsh.html#Gmsh-mesh-file-formats).  Node and element data and other
sections are skipped.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np

from ..units import AnyArray
from .msh_cells import SHAPE, BadMeshError, Block, MshFile

__all__ = ["parse_msh"]

Kind = Literal["i", "s", "d"]  # int, size_t and double of the manual

_BYTES = {"i": 4, "s": 8, "d": 8}


def parse_msh(data: bytes) -> MshFile:
    """Return the content of a .msh file.

    Args:
        data: The whole file.

    Raises:
        BadMeshError: If it is damaged, or of a version that is not read.
    """
    return _Parser(data).parse()


class _Numbers:
    """The numbers of a section, taken one after the other."""

    def __init__(self, data: bytes, start: int, section: str, order: str) -> None:
        self.data, self.place, self.section, self.order = data, start, section, order
        self.text: AnyArray | None = None
        if not order:
            end = data.find(b"$End" + section.encode(), start)
            if end < 0:
                raise BadMeshError(f"its section ${section} has no end; it is cut off")
            self.text, self.place, self.end = _tokens(data[start:end], section), 0, end

    def take(self, kind: Kind, count: int) -> AnyArray:
        """Return the next numbers, as int64 or float64."""
        size = len(self.data) if self.text is None else len(self.text)
        width = _BYTES[kind] if self.text is None else 1
        stop = self.place + width * count
        if count < 0 or stop > size:
            raise BadMeshError(f"its section ${self.section} is shorter than it says")
        start, self.place = self.place, stop
        if self.text is not None:
            return self._whole(self.text[start:stop], kind)
        code = {"i": "i4", "s": "u8", "d": "f8"}[kind]
        found = np.frombuffer(self.data, self.order + code, count, start)
        if kind == "s" and len(found) and found.max() >= 2**62:
            raise BadMeshError(f"its section ${self.section} holds numbers out of range")
        return found.astype(np.float64 if kind == "d" else np.int64)

    def rows(self, kinds: str, count: int) -> list[AnyArray]:
        """Return `count` rows of numbers of these kinds, column by column."""
        if self.text is not None:
            table = self.take("d", len(kinds) * count).reshape(count, len(kinds))
            return [self._whole(table[:, k], kind) for k, kind in enumerate(kinds)]
        codes = {"i": "i4", "s": "u8", "d": "f8"}
        row = np.dtype([(f"c{k}", self.order + codes[kind]) for k, kind in enumerate(kinds)])
        stop = self.place + row.itemsize * count
        if count < 0 or stop > len(self.data):
            raise BadMeshError(f"its section ${self.section} is shorter than it says")
        found = np.frombuffer(self.data, row, count, self.place)
        self.place = stop
        types = {"d": np.float64}
        return [found[f"c{k}"].astype(types.get(kind, np.int64)) for k, kind in enumerate(kinds)]

    def one(self, kind: Kind) -> int:
        """Return the next whole number."""
        return int(self.take(kind, 1)[0])

    def list(self, kind: Kind = "i") -> tuple[int, ...]:
        """Return numbers that follow their count."""
        return tuple(self.take(kind, self.one("s")).tolist())

    def _whole(self, found: AnyArray, kind: str) -> AnyArray:
        if kind == "d":
            return found
        if not (np.abs(found) < 2**53).all() or (found != np.floor(found)).any():
            raise BadMeshError(f"its section ${self.section} holds numbers that must be whole")
        return found.astype(np.int64)

    def finish(self) -> int:
        """Return where the section ends in the file."""
        if self.text is None:
            return self.place
        if self.place != len(self.text):
            raise BadMeshError(f"its section ${self.section} is longer than it says")
        return self.end


def _tokens(text: bytes, section: str) -> AnyArray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.fromstring(text, sep=" ")
    except (ValueError, DeprecationWarning, OverflowError, UnicodeDecodeError):
        raise BadMeshError(f"its section ${section} holds something that is no number") from None


class _Parser:
    """Reads one file; `order` is the byte order of a binary one, else empty."""

    def __init__(self, data: bytes) -> None:
        self.data, self.order, self.file = data, "", MshFile()
        self.groups: dict[tuple[int, int], tuple[int, ...]] = {}
        self.tags: AnyArray = np.zeros(0, np.int64)
        self.elements: list[Block] = []

    def parse(self) -> MshFile:
        place = self._format()
        readers = {
            "PhysicalNames": self._names,
            "Entities": self._entities,
            "PartitionedEntities": self._partitioned,
            "Nodes": self._nodes,
            "Elements": self._elements,
        }
        seen = set()
        for name, start in self._sections(place):
            if name not in readers:
                end = self.data.find(b"$End" + name.encode(), start)
            elif name in seen:
                raise BadMeshError(f"it has two sections ${name}")
            else:
                end = readers[name](start)
            seen.add(name)
            if end < 0:
                raise BadMeshError(f"its section ${name} has no end; it is cut off")
            self.next = end
        for name in ("Nodes", "Elements"):
            if name not in seen:
                raise BadMeshError(f"it has no section ${name}; it may be cut off")
        self.file.blocks = self._numbered()
        return self.file

    def _format(self) -> int:
        """Read the first section; return where the next begins."""
        found = re.match(rb"\s*\$MeshFormat\s+(\S+)\s+(\S+)\s+(\S+)[ \t\r]*\n", self.data[:200])
        if found is None:
            raise BadMeshError("it does not begin with $MeshFormat")
        try:
            version, binary, size = float(found[1]), int(found[2]), int(found[3])
        except ValueError:
            raise BadMeshError("its version cannot be read") from None
        if not (2 <= version < 3 or version in (4.0, 4.1)):
            raise BadMeshError(
                f"it is of version {version:g}; versions 2.2, 4.0 and 4.1 are read:"
                " write it with Mesh.MshFileVersion = 4.1"
            )
        if binary not in (0, 1) or size != 8:
            raise BadMeshError("its format is none that gmsh writes")
        self.file.version = version
        place = found.end()
        if binary:
            one = self.data[place : place + 4]
            order = {b"\x01\0\0\0": "<", b"\0\0\0\x01": ">"}.get(one)
            if order is None:
                raise BadMeshError("its byte order cannot be read")
            self.order = order
            place += 4
        end = self.data.find(b"$EndMeshFormat", place)
        if end < 0:
            raise BadMeshError("its section $MeshFormat has no end; it is cut off")
        return end

    def _sections(self, place: int) -> Iterator[tuple[str, int]]:
        """Yield name and start of every section; `next` moves behind it."""
        end, begin = re.compile(rb"\s*\$End(\w+)[ \t\r]*\n?"), re.compile(rb"\s*\$(\w+)[ \t\r]*\n")
        name, self.next = "MeshFormat", place
        while True:
            closed = end.match(self.data, self.next)
            if closed is None or closed[1].decode() != name:
                raise BadMeshError(f"its section ${name} does not end where it should")
            opened = begin.match(self.data, closed.end())
            if opened is None:
                if self.data[closed.end() :].strip():
                    raise BadMeshError(f"it has something between sections, after ${name}")
                return
            name = opened[1].decode()
            yield name, opened.end()

    def _numbers(self, start: int, section: str) -> _Numbers:
        return _Numbers(self.data, start, section, self.order)

    def _names(self, start: int) -> int:
        end = self.data.find(b"$EndPhysicalNames", start)
        text = self.data[start:end].decode(errors="replace")
        line = re.compile(r'\s*(\d+)\s+(-?\d+)\s+"(.*)"\s*')
        for row in text.splitlines()[1:]:
            found = line.fullmatch(row)
            if found is not None:
                self.file.names[int(found[1]), abs(int(found[2]))] = found[3]
            elif row.strip():
                raise BadMeshError("its section $PhysicalNames holds a line that is no name")
        return end

    def _entities(self, start: int) -> int:
        numbers = self._numbers(start, "Entities")
        for dimension, count in enumerate(numbers.take("s", 4).tolist()):
            for _ in range(count):
                self._entity(numbers, dimension, numbers.one("i"))
        return numbers.finish()

    def _partitioned(self, start: int) -> int:
        numbers = self._numbers(start, "PartitionedEntities")
        numbers.one("s")
        numbers.take("i", 2 * numbers.one("s"))  # ghost entities
        for dimension, count in enumerate(numbers.take("s", 4).tolist()):
            for _ in range(count):
                tag = numbers.take("i", 3)[0]  # and the parent
                numbers.list()  # partitions
                self._entity(numbers, dimension, int(tag))
        return numbers.finish()

    def _entity(self, numbers: _Numbers, dimension: int, tag: int) -> None:
        numbers.take("d", 3 if dimension == 0 and self.file.version > 4.05 else 6)
        self.groups[dimension, tag] = tuple(abs(k) for k in numbers.list())
        if dimension > 0:
            numbers.list()  # boundary

    def _nodes(self, start: int) -> int:
        numbers = self._numbers(start, "Nodes")
        if self.file.version < 3:
            tag, *found = numbers.rows("iddd", numbers.one("s") if not self.order else self._count(numbers))
            tags, points = [tag], [np.stack(found, axis=1)]
        else:
            tags, points = self._node_blocks(numbers)
        self.tags = np.concatenate([np.zeros(0, np.int64), *tags])
        self.file.points = np.concatenate([np.zeros((0, 3)), *points])
        if not (np.abs(self.file.points) < 1e100).all():
            raise BadMeshError("it has coordinates that are no finite numbers")
        return numbers.finish()

    def _count(self, numbers: _Numbers) -> int:
        """Return the count that begins a binary section of version 2: a line of text."""
        found = re.compile(rb"\s*(\d{1,15})[ \t\r]*\n").match(self.data, numbers.place)
        if found is None:
            raise BadMeshError(f"its section ${numbers.section} has no count")
        numbers.place = found.end()
        return int(found[1])

    def _node_blocks(self, numbers: _Numbers) -> tuple[list[AnyArray], list[AnyArray]]:
        new = self.file.version > 4.05
        blocks, total = numbers.take("s", 4 if new else 2)[:2].tolist()
        tags, points = [], []
        for _ in range(blocks):
            first, second, parametric = numbers.take("i", 3).tolist()
            more = (first if new else second) if parametric else 0
            if not 0 <= more <= 3:
                raise BadMeshError("its section $Nodes holds an entity of no dimension")
            count = numbers.one("s")
            if new:
                tags.append(numbers.take("s", count))
                table = numbers.take("d", count * (3 + more)).reshape(count, 3 + more)
                points.append(table[:, :3])
            else:
                tag, *found = numbers.rows("i" + "d" * (3 + more), count)
                tags.append(tag)
                points.append(np.stack(found[:3], axis=1))
        if sum(map(len, tags)) != total:
            raise BadMeshError("its section $Nodes has another number of nodes than it says")
        return tags, points

    def _elements(self, start: int) -> int:
        numbers = self._numbers(start, "Elements")
        if self.file.version < 3:
            self._old_elements(numbers)
        else:
            self._element_blocks(numbers)
        return numbers.finish()

    def _element_blocks(self, numbers: _Numbers) -> None:
        new = self.file.version > 4.05
        blocks, total = numbers.take("s", 4 if new else 2)[:2].tolist()
        number: Kind = "s" if new else "i"
        for _ in range(blocks):
            first, second, kind = numbers.take("i", 3).tolist()
            where = (first, second) if new else (second, first)
            shape, n = self._shape(kind)
            count = numbers.one("s")
            table = numbers.take(number, count * (1 + n)).reshape(count, 1 + n)
            self.elements.append(Block(shape, table[:, 1:], self.groups.get(where, ())))
        if sum(len(b.nodes) for b in self.elements) != total:
            raise BadMeshError("its section $Elements has another number of elements than it says")

    def _old_elements(self, numbers: _Numbers) -> None:
        """Read version 2: the groups stand with each element."""
        left = self._count(numbers) if self.order else numbers.one("s")
        found: dict[tuple[str, int, int], list[AnyArray]] = {}
        while left > 0:
            rows = self._old_binary if self.order else self._old_text
            kind, marks, table = rows(numbers, left)
            shape, n = self._shape(kind)
            left -= len(table)
            groups = np.abs(table[:, 1]) if marks else np.zeros(len(table), np.int64)
            for group in np.unique(groups).tolist():
                own = table[groups == group, 1 + marks :]
                found.setdefault((shape, n, group), []).append(own)
        if left:
            raise BadMeshError("its section $Elements has another number of elements than it says")
        for (shape, _, group), tables in found.items():
            self.elements.append(Block(shape, np.concatenate(tables), (group,) if group else ()))

    def _old_binary(self, numbers: _Numbers, left: int) -> tuple[int, int, AnyArray]:
        kind, count, marks = numbers.take("i", 3).tolist()
        if count < 1 or not 0 <= marks < 1000:
            raise BadMeshError("its section $Elements holds an empty block")
        width = 1 + marks + self._shape(kind)[1]
        return kind, marks, numbers.take("i", count * width).reshape(count, width)

    def _old_text(self, numbers: _Numbers, left: int) -> tuple[int, int, AnyArray]:
        """Return the next rows of one type and number of marks: at most as many as are like it."""
        assert numbers.text is not None
        head = numbers._whole(numbers.text[numbers.place : numbers.place + 3], "i")
        if len(head) < 3 or not 0 <= head[2] < 1000:
            raise BadMeshError("its section $Elements is shorter than it says")
        kind, marks = int(head[1]), int(head[2])
        width, count, most = 3 + marks + self._shape(kind)[1], 0, 64
        while True:  # the look-ahead grows, so that long runs cost one pass
            rows = min(most, left, (len(numbers.text) - numbers.place) // width)
            table = numbers.text[numbers.place : numbers.place + rows * width]
            table = table.reshape(rows, width)
            like = (table[:, 1] == kind) & (table[:, 2] == marks)
            count = rows if like.all() else int(np.argmin(like))
            if count < rows or rows < most:
                break
            most *= 4
        if not count:
            raise BadMeshError("its section $Elements is shorter than it says")
        table = numbers.take("i", count * width).reshape(count, width)
        return kind, marks, np.delete(table, [1, 2], axis=1)

    def _shape(self, kind: int) -> tuple[str, int]:
        if kind not in SHAPE:
            raise BadMeshError(f"it has elements of the type {kind} of gmsh, which are not read")
        return SHAPE[kind]

    def _numbered(self) -> list[Block]:
        """Return the elements with rows of points in place of the numbers of nodes."""
        order = np.argsort(self.tags, kind="stable")
        tags = self.tags[order]
        if (tags[1:] == tags[:-1]).any():
            raise BadMeshError("two of its nodes have one number")
        found = []
        for block in self.elements:
            place = np.searchsorted(tags, block.nodes)
            known = place < len(tags)
            if not known.all() or (tags[place] != block.nodes).any():
                raise BadMeshError("it has elements with nodes that are not there")
            found.append(Block(block.shape, order[place], block.groups))
        return found
