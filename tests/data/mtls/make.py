"""Makes the certificates beside it: an authority, senders that it vouches for, and one of another authority; and lists of
revoked ones: none of the first authority, its till, and none of the other. All senders have one key. Needs the package `cryptography`; run once, its results are kept."""

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HERE = pathlib.Path(__file__).parent
START = datetime.datetime(2020, 1, 1)
END = datetime.datetime(2120, 1, 1)
NAMES = [
    x509.DNSName("shop.example.com"),
    x509.DNSName("Till.Example.com"),
    x509.UniformResourceIdentifier("spiffe://acme.example/shop"),
    x509.RFC822Name("shop@acme.example"),
]


def subject(*names):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in names])


def certificate(names, key, alternatives=(), issuer=None, end=END):
    issuer_name, issuer_key = issuer or (names, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject(*names))
        .issuer_name(subject(*issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if alternatives:
        made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    if issuer:
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        made = made.add_extension(usage, critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def revoked(authority, *certificates, end=END):
    issuer_name, issuer_key = authority
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(subject(*issuer_name))
        .last_update(START)
        .next_update(end)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    for one in certificates:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number)
        made = made.add_revoked_certificate(entry.revocation_date(START).build())
    return made.sign(issuer_key, hashes.SHA256())


def write(file, part):
    if isinstance(part, x509.Certificate | x509.CertificateRevocationList):
        text = part.public_bytes(serialization.Encoding.PEM)
    else:
        text = part.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    (HERE / file).write_bytes(text)


def main():
    name, key = ["Authority of senders"], ec.generate_private_key(ec.SECP256R1())
    write("ca.pem", certificate(name, key))
    authority = (name, key)
    other = (["Another authority"], ec.generate_private_key(ec.SECP256R1()))
    write("other-ca.pem", certificate(*other))
    sender = ec.generate_private_key(ec.SECP256R1())
    write("key.pem", sender)
    shop = certificate(["Acme Shop"], sender, NAMES, authority)
    write("shop.pem", shop)
    (HERE / "shop.sha256").write_text(shop.fingerprint(hashes.SHA256()).hex() + "\n")
    names = [x509.DNSName("till.example.org")]
    till = certificate(["Acme Till"], sender, names, authority)
    write("till.pem", till)
    write("two.pem", certificate(["Acme Shop", "Acme Till"], sender, (), authority))
    end = datetime.datetime(2021, 1, 1)
    write("ended.pem", certificate(["Acme Shop"], sender, NAMES, authority, end))
    write("stranger.pem", certificate(["Acme Shop"], sender, NAMES, other))
    write("none.crl", revoked(authority))
    write("till.crl", revoked(authority, till))
    write("old.crl", revoked(authority, till, end=end))
    write("other.crl", revoked(other))


if __name__ == "__main__":
    main()
