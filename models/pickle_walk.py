"""A walk through a pickle that builds nothing, after which it is known that unpickling it asks for nothing unbounded.

A few bytes can make an unpickler ask for terabytes, or nest so deep that Python itself falls over. So only the opcodes
that published networks need are let through, with as many bytes as the file has, as deep and as many as `Limits` says.
"""

from __future__ import annotations

import pickle
import pickletools
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn


@dataclass(frozen=True)
class Limits:
    """What a file may ask for. The published networks at 1024x1024 stay well below."""

    file: int = 2**31  # bytes
    opcodes: int = 2_000_000
    depth: int = 300  # of containers in each other
    name: int = 200  # bytes of a module's or class's name
    tensor: int = 2**28  # bytes


class RefusedError(pickle.UnpicklingError):
    """The file asks for what is not allowed; the text ends the sentence 'the file ...'."""


def refuse(what: str) -> NoReturn:
    raise RefusedError(what)


_LEAVES = {"NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
_LEAVES |= {"SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "GLOBAL"}
_EMPTY = {"EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET"}
_MADE = {
    "TUPLE1": 1,
    "TUPLE2": 2,
    "TUPLE3": 3,
    "REDUCE": 2,
    "NEWOBJ": 2,
    "STACK_GLOBAL": 2,
}  # of so many from the stack
_INTO = {"APPEND": 1, "SETITEM": 2, "BUILD": 1}  # so many go into what lies below them
_ALL_INTO = {"APPENDS", "SETITEMS", "ADDITEMS"}  # all from the mark on do


_KEYED = {"SETITEM": 2, "SETITEMS": 2, "ADDITEMS": 1}  # every how many of what goes in is hashed


class _Bounded:
    """A file that is asked for no more than it has."""

    def __init__(self, stream: BinaryIO, size: int, line: int) -> None:
        self.stream, self.size, self.line = stream, size, line

    def read(self, count: int) -> bytes:
        if count > self.size - self.stream.tell():
            refuse("is cut short, or claims more bytes than it has")
        return self.stream.read(count)

    def readline(self) -> bytes:
        return self.stream.readline(self.line)


def walk(stream: BinaryIO, size: int, limits: Limits, *, storages: bool = False) -> None:
    """Refuse a pickle whose opcodes, depth or demands are not those of a published network. Builds nothing.

    `storages`: take the opcode by which PyTorch names a storage.
    """
    stack: list[int] = []  # how deep each thing on the unpickler's stack is
    marks: list[int] = []
    memo: list[int] = []
    opcodes = pickletools.genops(_Bounded(stream, size, limits.name))  # type: ignore[arg-type]  # it needs no more
    argument: Any
    for number, (opcode, argument, _) in enumerate(opcodes):
        name = opcode.name
        if name in _LEAVES:
            stack.append(0)
        elif name in _EMPTY:
            stack.append(1)
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MEMOIZE" or (name in ("BINPUT", "LONG_BINPUT") and argument == len(memo)):
            memo.append(stack[-1])
        elif name in ("BINPUT", "LONG_BINPUT") and argument < len(memo):
            memo[argument] = stack[-1]
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(_taken(stack, len(stack) - marks.pop()))
        elif name in _MADE:
            stack.append(_taken(stack, _MADE[name]))
        elif name in _INTO or name in _ALL_INTO:
            count = _INTO[name] if name in _INTO else len(stack) - marks.pop()
            _check_keys(name, stack, count)
            inner = _taken(stack, count)
            stack[-1] = max(stack[-1], inner)
        elif name == "FRAME":
            if argument > size - stream.tell():
                refuse("is cut short, or claims more bytes than it has")
        elif name not in ("PROTO", "STOP") and not (storages and name == "BINPERSID"):
            refuse(f"holds {name}, which no published network needs")
        if number >= limits.opcodes:
            refuse(f"has more than {limits.opcodes:,} opcodes")
        if (stack and stack[-1] > limits.depth) or len(marks) > limits.depth:
            refuse(f"nests more than {limits.depth} levels")


def _check_keys(name: str, stack: list[int], count: int) -> None:
    """Refuse keys and members of sets whose hashing may take for ever: tuples of tuples that share what they hold."""
    if name in _KEYED and max(stack[max(0, len(stack) - count) :: _KEYED[name]], default=0) > 1:
        refuse("holds a key that is made of parts of parts")


def _taken(stack: list[int], count: int) -> int:
    """Take the uppermost from the stack; how deep what holds them is."""
    if not 0 <= count <= len(stack):
        refuse("is broken: it takes what it never made")
    first = len(stack) - count
    deepest = max(stack[first:], default=0)
    del stack[first:]
    return 1 + deepest
