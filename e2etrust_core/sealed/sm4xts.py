# SPDX-License-Identifier: Apache-2.0
"""SM4-XTS as dm-crypt's `sm4-xts-plain64` means it, at native speed.

SM4 is GB/T 32907-2016; XTS is IEEE Std 1619-2018 section 5 with its own doubling (GB/T 17964-2021
doubles bit-reversed and gives other bytes); `plain64` is the sector number, little endian,
as the tweak.

libgcrypt 1.10 runs SM4 with vector instructions in CBC and CFB decryption only; its XTS and ECB
are scalar. Both bulk modes give the bare cipher but for one known XOR: with X the tweaked blocks,
CBC decryption is D(X[i]) ^ X[i-1], and CFB decryption with IV X[0] over X[1]... is
E(X[i-1]) ^ X[i].
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
import numpy.typing as npt

from e2etrust_core.sealed import gcrypt

KEY_SIZE = 32
BLOCK = 16
# Small enough that data, tweaks and scratch of one round stay in the processor's L2 cache.
_CHUNK = 128 * 1024
# Tweaks of this many blocks come from one multiplication each (the carry stays within 64 bits).
_LANES = 32

_Words = npt.NDArray[np.uint64]
_ZERO_IV = np.zeros(2, dtype="<u8")


class Sm4Xts:
    """One SM4-XTS key over sectors of a power of two from 16 bytes to 128 KiB.

    Safe for threads: each thread gets cipher handles and scratch of its own. Sectors of 512 bytes
    run fastest (their tweaks come from one multiplication in vectors).
    """

    def __init__(self, key: bytes | bytearray) -> None:
        """
        :param key: 32 bytes, the data key and then the tweak key.
        :raises ValueError: the key has another length.
        """
        if len(key) != KEY_SIZE:
            raise ValueError(f"an SM4-XTS key is {KEY_SIZE} bytes, not {len(key)}")
        self._key: bytearray | None = bytearray(key)
        self._local = threading.local()
        self._lanes: weakref.WeakSet[_Lane] = weakref.WeakSet()
        self._lock = threading.Lock()

    def decrypt_into(
        self, buffer: bytearray | memoryview, sector: int, sector_size: int = 512, iv_step: int = 1
    ) -> None:
        """Decrypt in place.

        :param buffer: writable, contiguous, a multiple of `sector_size` bytes.
        :param sector: tweak of the first sector.
        :param iv_step: what the tweak grows by from sector to sector: 1 counts in units of
            `sector_size`; LUKS2 counts in units of 512 bytes, so there it is sector_size // 512.
        :raises ValueError: the buffer or the numbers do not fit, or the key was closed.
        """
        self._run(buffer, sector, sector_size, iv_step, encrypt=False)

    def encrypt_into(
        self, buffer: bytearray | memoryview, sector: int, sector_size: int = 512, iv_step: int = 1
    ) -> None:
        """Encrypt in place; arguments and errors as for decrypt_into."""
        self._run(buffer, sector, sector_size, iv_step, encrypt=True)

    def close(self) -> None:
        """Wipe the key. No other thread may be inside a call."""
        with self._lock:
            if self._key is not None:
                self._key[:] = bytes(KEY_SIZE)
            self._key = None
            for lane in list(self._lanes):
                lane.close()

    def __enter__(self) -> Sm4Xts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self,
        buffer: bytearray | memoryview,
        sector: int,
        sector_size: int,
        iv_step: int,
        *,
        encrypt: bool,
    ) -> None:
        if sector_size < BLOCK or sector_size & (sector_size - 1) or sector_size > _CHUNK:
            raise ValueError(f"{sector_size} bytes is no sector size")
        data = memoryview(buffer).cast("B")
        if data.readonly or len(data) % sector_size:
            raise ValueError("the buffer must be writable and hold whole sectors")
        count = len(data) // sector_size
        if sector < 0 or iv_step < 1 or sector + count * iv_step > 1 << 64:
            raise ValueError("a sector number must fit in 64 bits")
        lane = self._lane()
        for at in range(0, len(data), _CHUNK):
            words = np.frombuffer(data[at : at + _CHUNK], dtype="<u8").reshape(-1, 2)
            lane.run(words, sector + at // sector_size * iv_step, sector_size, iv_step, encrypt)

    def _lane(self) -> _Lane:
        lane: _Lane | None = getattr(self._local, "lane", None)
        if lane is None:
            with self._lock:
                if self._key is None:
                    raise ValueError("this key was closed")
                lane = self._local.lane = _Lane(self._key)
                self._lanes.add(lane)
        if lane.closed:
            raise ValueError("this key was closed")
        return lane


class _Lane:
    """What one thread needs: three cipher handles and scratch that is touched once."""

    def __init__(self, key: bytearray) -> None:
        self.closed = False
        self._decrypt = gcrypt.BlockCipher(gcrypt.MODE_CBC, key[:BLOCK])
        self._encrypt = gcrypt.BlockCipher(gcrypt.MODE_CFB, key[:BLOCK])
        self._tweak = gcrypt.BlockCipher(gcrypt.MODE_CFB, key[BLOCK:])
        blocks = _CHUNK // BLOCK
        # One block more than the data: the CFB trick reads one ahead.
        self._tweaked = np.zeros((blocks + 1, 2), dtype="<u8")
        self._numbers = np.zeros((blocks + 1, 2), dtype="<u8")
        self._bases = np.zeros((blocks, 2), dtype="<u8")
        self._low = np.zeros(blocks, dtype="<u8")
        self._high = np.zeros(blocks, dtype="<u8")
        self._spare = np.zeros(blocks, dtype="<u8")
        self._carry = np.zeros(blocks, dtype="<u8")

    def close(self) -> None:
        self.closed = True
        for cipher in (self._decrypt, self._encrypt, self._tweak):
            cipher.close()
        for scratch in (self._tweaked, self._bases, self._low, self._high, self._carry):
            scratch[:] = 0

    def run(self, data: _Words, sector: int, sector_size: int, iv_step: int, encrypt: bool) -> None:
        """Encrypt or decrypt up to _CHUNK bytes, given as (blocks, 2) words, in place."""
        per_sector = sector_size // BLOCK
        low, high = self._tweaks(sector, len(data) // per_sector, iv_step, per_sector)
        blocks = len(data)
        tweaked = self._tweaked[: blocks + 1]
        np.bitwise_xor(data[:, 0], low, out=tweaked[:-1, 0])
        np.bitwise_xor(data[:, 1], high, out=tweaked[:-1, 1])
        source, target, size = tweaked.ctypes.data, data.ctypes.data, blocks * BLOCK
        if encrypt:
            tweaked[-1] = 0
            self._encrypt.decrypt(source, target, source + BLOCK, size)
            np.bitwise_xor(data, tweaked[1:], out=data)
        else:
            self._decrypt.decrypt(_ZERO_IV.ctypes.data, target, source, size)
            np.bitwise_xor(data[1:], tweaked[: blocks - 1], out=data[1:])
        np.bitwise_xor(data[:, 0], low, out=data[:, 0])
        np.bitwise_xor(data[:, 1], high, out=data[:, 1])

    def _tweaks(
        self, sector: int, sectors: int, iv_step: int, per_sector: int
    ) -> tuple[_Words, _Words]:
        """Low and high words of every block's tweak, in block order."""
        bases = self._bases_of(sector, sectors, iv_step)
        shape = (sectors, per_sector)
        blocks = sectors * per_sector
        low = self._low[:blocks].reshape(shape)
        high = self._high[:blocks].reshape(shape)
        width = min(per_sector, _LANES)
        first = slice(0, width)
        self._shift(bases[:, :1], bases[:, 1:], low[:, first], high[:, first], _STEPS[:width])
        for at in range(width, per_sector, width):
            before, here = slice(at - width, at), slice(at, at + width)
            self._shift(
                low[:, before], high[:, before], low[:, here], high[:, here], _STEPS[width:][:1]
            )
        return low.reshape(-1), high.reshape(-1)

    def _bases_of(self, sector: int, sectors: int, iv_step: int) -> _Words:
        """E(K2, sector number) for consecutive sectors."""
        numbers = self._numbers[: sectors + 1]
        last = sector + (sectors - 1) * iv_step
        numbers[:-1, 0] = np.arange(sectors, dtype="<u8") * np.uint64(iv_step) + np.uint64(sector)
        if int(numbers[sectors - 1, 0]) != last:
            raise ValueError("a sector number must fit in 64 bits")
        numbers[-1] = 0
        bases = self._bases[:sectors]
        at = numbers.ctypes.data
        self._tweak.decrypt(at, bases.ctypes.data, at + BLOCK, sectors * BLOCK)
        np.bitwise_xor(bases, numbers[1:], out=bases)
        return bases

    def _shift(
        self, low: _Words, high: _Words, low_to: _Words, high_to: _Words, steps: _Words
    ) -> None:
        """Multiply by x to the `steps` in GF(2^128), modulus x^128 + x^7 + x^2 + x + 1.

        What leaves at the top, fewer than 57 bits, comes back times 0x87: four shifted XORs.
        """
        shape = low_to.shape
        carry = self._carry[: low_to.size].reshape(shape)
        spare = self._spare[: low_to.size].reshape(shape)
        one, rest = np.uint64(1), np.uint64(63) - steps
        # A shift by 64 is undefined, and steps may be 0: shift by 1 and by 63 - steps.
        np.right_shift(high >> one, rest, out=carry)
        np.left_shift(high, steps, out=high_to)
        np.right_shift(low >> one, rest, out=spare)
        np.bitwise_or(high_to, spare, out=high_to)
        np.left_shift(low, steps, out=low_to)
        np.bitwise_xor(low_to, carry, out=low_to)
        for power in (1, 2, 7):
            np.left_shift(carry, np.uint64(power), out=spare)
            np.bitwise_xor(low_to, spare, out=low_to)


_STEPS = np.arange(_LANES + 1, dtype="<u8")
