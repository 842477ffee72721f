"""Certification authorities of one's own, and a server's certificate for TLS inside a tunnel."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NAME = "server.example"


def _certificate(subject, issuer, key, signed_by, authority):
    name = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (subject, issuer)]
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(*[name[1], name[0]], key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=9)
    )
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(signed_by, hashes.SHA256())


def write(folder, form="PEM", name=_NAME):
    """ca.crt, server.crt and server.key in a folder, as PEM or DER, and ca.der."""
    form = getattr(serialization.Encoding, form)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority = _certificate("authority", "authority", keys[0], keys[0], True)
    server = _certificate(name, "authority", keys[1], keys[0], False)
    (folder / "ca.crt").write_bytes(authority.public_bytes(form))
    (folder / "ca.der").write_bytes(authority.public_bytes(serialization.Encoding.DER))
    (folder / "server.crt").write_bytes(server.public_bytes(form))
    plain = serialization.NoEncryption()
    key = keys[1].private_bytes(form, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    (folder / "server.key").write_bytes(key)


def authorities(folder, count):
    """Paths of so many certificates of authorities, as PEM."""
    paths = [folder / f"authority{number}.crt" for number in range(count)]
    for path in paths:
        key = ec.generate_private_key(ec.SECP256R1())
        octets = _certificate(path.stem, path.stem, key, key, True).public_bytes(serialization.Encoding.PEM)
        path.write_bytes(octets)
    return paths
