# SPDX-License-Identifier: Apache-2.0
"""TPM structures as values: public areas, signatures and quotes, decoded strictly.

Section numbers are those of the TPM 2.0 Library, Part 2: Structures, revision 1.59.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from e2etrust_core.crypto import digest_of
from e2etrust_core.crypto.provider import PointWrong, Sm2PublicKey
from e2etrust_core.errors import SuiteError
from e2etrust_core.evidence.errors import QuoteMagicWrong, QuoteTypeWrong, StructureError
from e2etrust_core.evidence.model import PcrSelection
from e2etrust_core.evidence.tpm_bytes import ByteReader, sized, uint
from e2etrust_core.suites import (
    HASH_BY_ID,
    HASHES,
    TPM_ALG_ECC,
    TPM_ALG_ECDSA,
    TPM_ALG_KEYEDHASH,
    TPM_ALG_NULL,
    TPM_ALG_RSA,
    TPM_ALG_RSASSA,
    TPM_ALG_SM2,
    TPM_ECC_NIST_P256,
    TPM_ECC_SM2_P256,
    Hash,
)

TPM_GENERATED_VALUE = 0xFF544347  # 6.2
TPM_ST_ATTEST_QUOTE = 0x8018  # 6.9
TPM_RH_ENDORSEMENT = 0x4000000B  # 7.4
TPM_ALG_HMAC = 0x0005
TPM_ALG_XOR = 0x000A
TPM_ALG_RSAES = 0x0015
TPM_ALG_RSAPSS = 0x0016
TPM_ALG_OAEP = 0x0017
TPM_ALG_ECDH = 0x0019
TPM_ALG_ECDAA = 0x001A
TPM_ALG_ECSCHNORR = 0x001C
TPM_ALG_ECMQV = 0x001D
TPM_ECC_NIST_P384 = 0x0004

# TPMA_OBJECT, 8.3
FIXED_TPM = 1 << 1
ST_CLEAR = 1 << 2
FIXED_PARENT = 1 << 4
SENSITIVE_DATA_ORIGIN = 1 << 5
USER_WITH_AUTH = 1 << 6
ADMIN_WITH_POLICY = 1 << 7
NO_DA = 1 << 10
RESTRICTED = 1 << 16
DECRYPT = 1 << 17
SIGN = 1 << 18

_MAX_PUBLIC = 1024
_MAX_NUMBER = 512
_MAX_BANKS = 16
_MAX_SELECT = 4
#: Keys that are decoded once and not for each check of a quote: some 3 KiB for each.
KEYS_KNOWN = 4096

CURVES: dict[int, ec.EllipticCurve] = {
    TPM_ECC_NIST_P256: ec.SECP256R1(),
    TPM_ECC_NIST_P384: ec.SECP384R1(),
}


@dataclass(frozen=True, slots=True)
class Symmetric:
    """TPMT_SYM_DEF_OBJECT (11.1.7) that is not null."""

    alg: int
    bits: int
    mode: int


@dataclass(frozen=True, slots=True)
class Scheme:
    """A signing, encryption or key-exchange scheme; ``hash`` is None where it has none."""

    alg: int
    hash: Hash | None


@dataclass(frozen=True, slots=True)
class RsaKey:
    """``exponent`` is the real one (the TPM writes 0 for 65537)."""

    bits: int
    exponent: int
    modulus: bytes


@dataclass(frozen=True, slots=True)
class EccKey:
    curve: int
    x: bytes
    y: bytes


@dataclass(frozen=True, slots=True)
class KeyedHash:
    digest: bytes


@dataclass(frozen=True, slots=True)
class Public:
    """TPMT_PUBLIC (12.2.4)."""

    type: int
    name_hash: Hash
    attributes: int
    auth_policy: bytes
    symmetric: Symmetric | None
    scheme: Scheme
    key: RsaKey | EccKey | KeyedHash


@dataclass(frozen=True, slots=True)
class Signature:
    """TPMT_SIGNATURE (11.3.4): ``rsa`` for RSASSA and RSAPSS, else ``r`` and ``s``."""

    scheme: int
    hash: Hash
    rsa: bytes | None = None
    r: int = 0
    s: int = 0


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """TPMS_CLOCK_INFO (10.11.1); ``clock`` in milliseconds."""

    clock: int
    reset_count: int
    restart_count: int
    safe: bool


@dataclass(frozen=True, slots=True)
class AttestHead:
    """What every TPMS_ATTEST says, whatever it attests."""

    qualified_signer: bytes
    extra_data: bytes
    clock_info: ClockInfo
    firmware_version: int


@dataclass(frozen=True, slots=True)
class AttestedQuote:
    """TPMS_ATTEST (10.12.12) of type quote.  ``selection`` is in the TPM's order."""

    qualified_signer: bytes
    extra_data: bytes
    clock_info: ClockInfo
    firmware_version: int
    selection: tuple[tuple[str, tuple[int, ...]], ...]
    pcr_digest: bytes


@lru_cache(maxsize=KEYS_KNOWN)
def decode_public(data: bytes) -> Public:
    """Decode a TPMT_PUBLIC: RSA, ECC or KEYEDHASH.

    :raises StructureError: malformed, of another type, or with bytes left over.
    """
    if len(data) > _MAX_PUBLIC:
        raise StructureError(f"public area: {len(data)} bytes, at most {_MAX_PUBLIC} are read")
    reader = ByteReader(data, "public area")
    kind = reader.uint(2)
    name_hash = _hash(reader)
    attributes = reader.uint(4)
    policy = reader.sized(64)
    if policy and len(policy) != name_hash.size:
        raise StructureError(f"public area: a policy digest of {len(policy)} bytes")
    symmetric: Symmetric | None = None
    key: RsaKey | EccKey | KeyedHash
    if kind == TPM_ALG_RSA:
        symmetric, scheme = _symmetric(reader), _scheme(reader)
        key = _rsa_key(reader)
    elif kind == TPM_ALG_ECC:
        symmetric, scheme = _symmetric(reader), _scheme(reader)
        key = _ecc_key(reader)
    elif kind == TPM_ALG_KEYEDHASH:
        scheme = _keyed_hash_scheme(reader)
        key = KeyedHash(reader.sized(64))
    else:
        raise StructureError(f"public area: type {kind:#06x} is none that is read here")
    reader.end()
    return Public(kind, name_hash, attributes, policy, symmetric, scheme, key)


def encode_keyed_hash_public(
    name_hash: Hash, attributes: int, auth_policy: bytes, digest: bytes
) -> bytes:
    """Return the TPMT_PUBLIC of a sealed data object (KEYEDHASH, scheme null)."""
    return (
        uint(TPM_ALG_KEYEDHASH, 2)
        + uint(name_hash.alg_id, 2)
        + uint(attributes, 4)
        + sized(auth_policy)
        + uint(TPM_ALG_NULL, 2)
        + sized(digest)
    )


def name_of(public: bytes) -> bytes:
    """Return the Name of an object: nameAlg || H(public area) (Part 1, 16).

    :raises StructureError: *public* is no TPMT_PUBLIC.
    """
    name_hash = decode_public(public).name_hash
    return uint(name_hash.alg_id, 2) + digest_of(name_hash.hashlib_name, public)


def ek_sha256(ek_public: bytes) -> str:
    """Return by what operators know an endorsement key (TPMT_PUBLIC): its SHA-256 in hex."""
    return digest_of("sha256", ek_public).hex()


@lru_cache(maxsize=KEYS_KNOWN)
def qualified_name(public: bytes, parent_qualified_name: bytes) -> bytes:
    """Return the Qualified Name of an object under a parent (Part 1, 16).

    The parent of a primary object is its hierarchy, whose name is its handle.
    """
    name_hash = decode_public(public).name_hash
    digest = digest_of(name_hash.hashlib_name, parent_qualified_name + name_of(public))
    return uint(name_hash.alg_id, 2) + digest


def key_of(public: Public) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """Return the public key, where it is one that the ``cryptography`` package knows.

    :raises StructureError: the numbers are no key, or it has none (KEYEDHASH).
    :raises SuiteError: an SM2 key, or an unknown curve.
    """
    key = public.key
    if isinstance(key, RsaKey):
        modulus = int.from_bytes(key.modulus, "big")
        if modulus.bit_length() != key.bits:
            raise StructureError("public area: the RSA modulus is not of the size it states")
        try:
            return rsa.RSAPublicNumbers(key.exponent, modulus).public_key()
        except ValueError:
            raise StructureError("public area: the numbers are no RSA key") from None
    if isinstance(key, EccKey):
        return _ecc_public_key(key)
    raise StructureError("public area: no asymmetric key")


@lru_cache(maxsize=KEYS_KNOWN)
def public_key_of(
    public: Public,
) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Sm2PublicKey:
    """Return the public key to verify and encrypt with.

    :raises StructureError: as :func:`key_of`.
    :raises SuiteError: an unknown curve.
    """
    key = public.key
    if isinstance(key, EccKey) and key.curve == TPM_ECC_SM2_P256:
        try:
            return Sm2PublicKey(int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"))
        except PointWrong as exc:
            raise StructureError(f"public area: {exc.reason}") from None
    return key_of(public)


def decode_signature(data: bytes) -> Signature:
    """Decode a TPMT_SIGNATURE: RSASSA, RSAPSS, ECDSA or SM2.

    :raises StructureError: malformed, of another scheme, or with bytes left over.
    """
    reader = ByteReader(data, "signature")
    scheme = reader.uint(2)
    if scheme in (TPM_ALG_RSASSA, TPM_ALG_RSAPSS):
        found = Signature(scheme, _hash(reader), rsa=reader.sized(_MAX_NUMBER))
    elif scheme in (TPM_ALG_ECDSA, TPM_ALG_SM2):
        digest = _hash(reader)
        r = int.from_bytes(reader.sized(_MAX_NUMBER), "big")
        s = int.from_bytes(reader.sized(_MAX_NUMBER), "big")
        found = Signature(scheme, digest, r=r, s=s)
    else:
        raise StructureError(f"signature: scheme {scheme:#06x} is none that is read here")
    reader.end()
    return found


def decode_quote(data: bytes) -> AttestedQuote:
    """Decode the TPMS_ATTEST of a quote.

    :raises QuoteMagicWrong: the TPM did not make it: it does not begin with TPM_GENERATED_VALUE.
    :raises QuoteTypeWrong: it attests something other than PCRs.
    :raises StructureError: malformed, or with bytes left over.
    """
    reader = ByteReader(data, "quote")
    head = read_attest_head(reader, TPM_ST_ATTEST_QUOTE, "quote")
    selection = _selection(reader)
    digest = reader.sized(64)
    reader.end()
    return AttestedQuote(
        head.qualified_signer,
        head.extra_data,
        head.clock_info,
        head.firmware_version,
        selection,
        digest,
    )


def read_attest_head(reader: ByteReader, kind: int, name: str) -> AttestHead:
    """Read what every TPMS_ATTEST (10.12.12) begins with; what it attests stands behind.

    :param kind: the TPM_ST_ATTEST that it must be of, *name* what that is called.
    :raises QuoteMagicWrong: the TPM did not make it: it does not begin with TPM_GENERATED_VALUE.
    :raises QuoteTypeWrong: it attests something else.
    :raises StructureError: malformed.
    """
    if reader.uint(4) != TPM_GENERATED_VALUE:
        raise QuoteMagicWrong("the signed structure was not made by a TPM")
    found = reader.uint(2)
    if found != kind:
        raise QuoteTypeWrong(f"the signed structure is of type {found:#06x}, not a {name}")
    signer = reader.sized(66)
    extra = reader.sized(64)
    clock = ClockInfo(reader.uint(8), reader.uint(4), reader.uint(4), _yes_no(reader))
    return AttestHead(signer, extra, clock, reader.uint(8))


def encode_selection(selection: PcrSelection) -> bytes:
    """Return a TPML_PCR_SELECTION (10.9.7), banks in the order of their TPM_ALG_ID.

    :raises StructureError: an unknown bank or a PCR that is none.
    """
    out = uint(len(selection), 4)
    for bank in selection_order(selection):
        bits = 0
        for index in selection[bank]:
            bits |= 1 << index
        out += uint(HASHES[bank].alg_id, 2) + uint(3, 1) + bits.to_bytes(3, "little")
    return out


def selection_order(selection: PcrSelection) -> list[str]:
    """Return the banks of *selection* in the order they are sent to a TPM.

    :raises StructureError: an unknown bank, or a PCR outside 0-23.
    """
    for bank, indexes in selection.items():
        if bank not in HASHES:
            raise StructureError(f"PCR selection: no bank is called {bank!r}")
        if not all(0 <= index < 24 for index in indexes):
            raise StructureError(f"PCR selection: bank {bank} has PCRs 0 to 23 only")
    return sorted(selection, key=lambda bank: HASHES[bank].alg_id)


def _hash(reader: ByteReader) -> Hash:
    number = reader.uint(2)
    found = HASH_BY_ID.get(number)
    if found is None:
        raise StructureError(f"{reader.what}: {number:#06x} is no hash known here")
    return found


def _yes_no(reader: ByteReader) -> bool:
    value = reader.uint(1)
    if value > 1:
        raise StructureError(f"{reader.what}: a flag that is neither yes nor no")
    return bool(value)


def _symmetric(reader: ByteReader) -> Symmetric | None:
    alg = reader.uint(2)
    if alg == TPM_ALG_NULL:
        return None
    return Symmetric(alg, reader.uint(2), reader.uint(2))


_SCHEMES_WITH_HASH = {
    TPM_ALG_RSASSA,
    TPM_ALG_RSAPSS,
    TPM_ALG_OAEP,
    TPM_ALG_ECDSA,
    TPM_ALG_ECDH,
    TPM_ALG_ECDAA,
    TPM_ALG_SM2,
    TPM_ALG_ECSCHNORR,
    TPM_ALG_ECMQV,
}


def _scheme(reader: ByteReader) -> Scheme:
    """TPMT_RSA_SCHEME (11.2.4.2) and TPMT_ECC_SCHEME (11.2.5.6)."""
    alg = reader.uint(2)
    if alg in (TPM_ALG_NULL, TPM_ALG_RSAES):
        return Scheme(alg, None)
    if alg not in _SCHEMES_WITH_HASH:
        raise StructureError(f"{reader.what}: scheme {alg:#06x} is none that is read here")
    scheme = Scheme(alg, _hash(reader))
    if alg == TPM_ALG_ECDAA:
        reader.uint(2)
    return scheme


def _keyed_hash_scheme(reader: ByteReader) -> Scheme:
    """TPMT_KEYEDHASH_SCHEME (11.1.23)."""
    alg = reader.uint(2)
    if alg == TPM_ALG_NULL:
        return Scheme(alg, None)
    if alg not in (TPM_ALG_HMAC, TPM_ALG_XOR):
        raise StructureError(f"{reader.what}: scheme {alg:#06x} is none that is read here")
    scheme = Scheme(alg, _hash(reader))
    if alg == TPM_ALG_XOR:
        reader.uint(2)
    return scheme


def _rsa_key(reader: ByteReader) -> RsaKey:
    bits = reader.uint(2)
    exponent = reader.uint(4) or 65537
    modulus = reader.sized(_MAX_NUMBER)
    return RsaKey(bits, exponent, modulus)


def _ecc_key(reader: ByteReader) -> EccKey:
    curve = reader.uint(2)
    if reader.uint(2) != TPM_ALG_NULL:
        _hash(reader)
    x, y = reader.sized(128), reader.sized(128)
    return EccKey(curve, x, y)


def _ecc_public_key(key: EccKey) -> ec.EllipticCurvePublicKey:
    if key.curve == TPM_ECC_SM2_P256:
        raise SuiteError("certificates of SM2 keys are not read here")
    curve = CURVES.get(key.curve)
    if curve is None:
        raise SuiteError(f"curve {key.curve:#06x} cannot be used", remedy="use curve P-256")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(key.x, "big"), int.from_bytes(key.y, "big"), curve
    )
    try:
        return numbers.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise StructureError("public area: the point is not on its curve") from None


def _selection(reader: ByteReader) -> tuple[tuple[str, tuple[int, ...]], ...]:
    count = reader.uint(4)
    if count > _MAX_BANKS:
        raise StructureError(f"{reader.what}: {count} PCR banks, at most {_MAX_BANKS} exist")
    return tuple(_bank_selection(reader) for _ in range(count))


def _bank_selection(reader: ByteReader) -> tuple[str, tuple[int, ...]]:
    bank = _hash(reader).name
    size = reader.uint(1)
    if size > _MAX_SELECT:
        raise StructureError(f"{reader.what}: a PCR selection of {size} bytes")
    bits = int.from_bytes(reader.take(size), "little")
    return bank, tuple(index for index in range(size * 8) if bits >> index & 1)
