"""CRC-32C, by which TFRecord files protect their records; many bytes at a time, with NumPy.

The bytes are cut into equally long rows. The register of each row is computed from zero, all rows at once, and those of
the rows before are moved on by as many zero bytes as a row has, which is linear.
"""

import numpy as np

POLYNOMIAL = 0x82F63B78
ROWS = 256
MASK = 0xA282EAD8


def _table() -> np.ndarray:
    register = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        register = np.where(register & 1, (register >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), register >> np.uint32(1))
    return register.astype(np.uint32)


TABLE = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of at least four bytes."""
    values = np.frombuffer(data, np.uint8).copy()
    values[:4] ^= 0xFF  # is the same as beginning with a register of ones
    length = -(-len(values) // ROWS)
    rows = np.zeros(ROWS * length, np.uint8)
    rows[len(rows) - len(values) :] = values  # zeros before the data change nothing
    rows = rows.reshape(ROWS, length)
    registers, moved = np.zeros(ROWS, np.uint32), np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    for column in rows.T:
        registers = TABLE[(registers ^ column) & 0xFF] ^ (registers >> np.uint32(8))
        moved = TABLE[moved & 0xFF] ^ (moved >> np.uint32(8))
    total, by_bit = 0, moved.tolist()
    for register in registers.tolist():
        shifted = 0
        for bit in range(32):
            if total >> bit & 1:
                shifted ^= by_bit[bit]
        total = shifted ^ register
    return total ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """Return the checksum as TFRecord files store it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF
