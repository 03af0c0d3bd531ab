"""Spark's hash functions: Murmur3 (``hash``) and xxHash64, bit for bit.

Spark's Murmur3 differs from the reference in the tail of byte strings: every byte is mixed as a
whole word (``Murmur3_x86_32.hashUnsafeBytes``).
"""

from __future__ import annotations

from struct import unpack_from

_M32 = 0xFFFFFFFF
_M64 = 0xFFFFFFFFFFFFFFFF
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def murmur3(data: bytes | None, kind: str, seed: int) -> int:
    """Return the hash of one value.

    Args:
        data: The bytes of a string, or an integer's text; ``None`` leaves the seed.
        kind: ``s`` for bytes, ``i`` for INT, ``l`` for BIGINT, ``b`` for BOOLEAN.
        seed: The hash so far.
    """
    if data is None:
        return seed
    state = seed & _M32
    if kind == "s":
        return _signed32(_murmur_bytes(data, state))
    number = int(data)
    if kind == "l":
        low, high = number & _M32, (number >> 32) & _M32
        return _signed32(_finish(_mix(_mix(state, low), high), 8))
    return _signed32(_finish(_mix(state, number & _M32), 4))


def _murmur_bytes(data: bytes, state: int) -> int:
    whole = len(data) - len(data) % 4
    for offset in range(0, whole, 4):
        state = _mix(state, unpack_from("<I", data, offset)[0])
    for byte in data[whole:]:
        state = _mix(state, (byte - 256 if byte > 127 else byte) & _M32)
    return _finish(state, len(data))


def _mix(state: int, word: int) -> int:
    word = (word * 0xCC9E2D51) & _M32
    word = ((word << 15) | (word >> 17)) & _M32
    word = (word * 0x1B873593) & _M32
    state ^= word
    state = ((state << 13) | (state >> 19)) & _M32
    return (state * 5 + 0xE6546B64) & _M32


def _finish(state: int, length: int) -> int:
    state ^= length
    state ^= state >> 16
    state = (state * 0x85EBCA6B) & _M32
    state ^= state >> 13
    state = (state * 0xC2B2AE35) & _M32
    return state ^ (state >> 16)


def _signed32(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def xxhash64(data: bytes | None, kind: str, seed: int) -> int:
    """Return the 64-bit hash of one value; the arguments are those of ``murmur3``."""
    if data is None:
        return seed
    state = seed & _M64
    if kind == "s":
        result = _xx_bytes(data, state)
    elif kind == "l":
        result = _xx_long(int(data) & _M64, state)
    else:
        result = _xx_int(int(data) & _M32, state)
    return result - 2**64 if result >= 2**63 else result


def _xx_int(word: int, seed: int) -> int:
    value = (seed + _P5 + 4) & _M64
    value ^= (word * _P1) & _M64
    value = (_rotate(value, 23) * _P2 + _P3) & _M64
    return _avalanche(value)


def _xx_long(word: int, seed: int) -> int:
    value = (seed + _P5 + 8) & _M64
    value ^= (_rotate((word * _P2) & _M64, 31) * _P1) & _M64
    value = (_rotate(value, 27) * _P1 + _P4) & _M64
    return _avalanche(value)


def _xx_bytes(data: bytes, seed: int) -> int:
    value, offset = _xx_stripes(data, seed)
    value = (value + len(data)) & _M64
    while offset <= len(data) - 8:
        word = unpack_from("<Q", data, offset)[0]
        value ^= (_rotate((word * _P2) & _M64, 31) * _P1) & _M64
        value = (_rotate(value, 27) * _P1 + _P4) & _M64
        offset += 8
    if offset <= len(data) - 4:
        value ^= (unpack_from("<I", data, offset)[0] * _P1) & _M64
        value = (_rotate(value, 23) * _P2 + _P3) & _M64
        offset += 4
    for byte in data[offset:]:
        value ^= (byte * _P5) & _M64
        value = (_rotate(value, 11) * _P1) & _M64
    return _avalanche(value)


def _xx_stripes(data: bytes, seed: int) -> tuple[int, int]:
    if len(data) < 32:
        return (seed + _P5) & _M64, 0
    lanes = [(seed + _P1 + _P2) & _M64, (seed + _P2) & _M64, seed, (seed - _P1) & _M64]
    offset = 0
    while offset <= len(data) - 32:
        for lane in range(4):
            word = unpack_from("<Q", data, offset)[0]
            lanes[lane] = (_rotate((lanes[lane] + word * _P2) & _M64, 31) * _P1) & _M64
            offset += 8
    value = (
        sum(_rotate(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _M64
    )
    for lane in lanes:
        value ^= (_rotate((lane * _P2) & _M64, 31) * _P1) & _M64
        value = (value * _P1 + _P4) & _M64
    return value, offset


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _M64


def _avalanche(value: int) -> int:
    value ^= value >> 33
    value = (value * _P2) & _M64
    value ^= value >> 29
    value = (value * _P3) & _M64
    return value ^ (value >> 32)
