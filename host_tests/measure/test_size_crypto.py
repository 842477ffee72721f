"""What keys and ciphers may take of a board: instructions, and times what its own AES and SHA-256 take."""

import pytest

from measure import bench_protected, size_crypto

SLICE = 3_000_000  # 20 ms on an ESP32
MARGIN = 1.1  # by where octets come to lie


@pytest.fixture(scope="module")
def measured():
    return size_crypto.instructions()


def test_slices(measured):
    slices = [count for what, count in measured.items() if what.endswith("slice")]
    assert len(slices) == 4 and max(slices) <= SLICE


def test_x25519(measured):
    assert measured["X25519, 100 KB of heap free"] <= 30_000_000
    assert measured["X25519, 16 KB of heap free"] <= 45_000_000


def test_modp(measured):
    assert measured["MODP-2048, 100 KB of heap free"] <= 190_000_000


def test_keys(measured):
    assert measured["prf+ of 256 octets"] <= 250_000
    assert measured["keys of an IKE SA"] <= 300_000


@pytest.mark.parametrize("name", size_crypto.CIPHERS)
def test_esp(measured, name):
    ratios = size_crypto.ratios(measured)
    for way in ("seal", "open"):
        what = f"ESP, {name}, 1024 octets inside, {way}"
        assert measured[what] <= 600_000
        assert "gcm" in name or ratios[what] <= 1.25


@pytest.mark.parametrize("name", [name for name in size_crypto.CIPHERS if "cbc" in name])
@pytest.mark.parametrize("inside", size_crypto.INSIDE)
def test_what_a_cipher_adds_to_the_platform(measured, name, inside):
    """Nothing: that its AES object stays makes up for it."""
    for way in ("seal", "open"):
        what = f"ESP, {name}, {inside} octets inside, {way}"
        assert measured[f"{what}, the cipher"] <= 1.1 * MARGIN * measured[f"{what}, the platform alone"]


def test_invalid_spi_over_an_ike_sa():
    for name, (made, verified) in bench_protected.instructions().items():
        most_made, most_verified = (112_000, 100_000) if "gcm" in name else (96_000, 82_000)
        assert made <= most_made * MARGIN and verified <= most_verified * MARGIN, name
