"""Makes the certificates and keys beside it: an authority of the tests, a server that it vouches for, and certificates
that Amazon SNS and PayPal might sign with. Needs the package `cryptography`; run once, its results are kept."""

import datetime
import ipaddress
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

HERE = pathlib.Path(__file__).parent
START = datetime.datetime(2020, 1, 1)
END = datetime.datetime(2120, 1, 1)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def alternative(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def certificate(subject, key, names=(), issuer=None, end=END, client=False):
    issuer_name, issuer_key = issuer or (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if names:
        listed = x509.SubjectAlternativeName([alternative(text) for text in names])
        made = made.add_extension(listed, critical=False)
    if client:
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        made = made.add_extension(usage, critical=False)
    return made.sign(issuer_key, hashes.SHA256())


def write(file, *parts):
    text = b""
    for part in parts:
        if isinstance(part, x509.Certificate):
            text += part.public_bytes(serialization.Encoding.PEM)
        else:
            text += part.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
    (HERE / file).write_bytes(text)


def main():
    authority = ec.generate_private_key(ec.SECP256R1())
    write("ca.pem", certificate("Authority of the tests", authority))
    issuer = ("Authority of the tests", authority)
    server = ec.generate_private_key(ec.SECP256R1())
    names = [
        "sns.us-east-1.amazonaws.com",
        "api.paypal.com",
        "www.googleapis.com",
        "keys.example.com",
        "acme.kinde.com",
        "production.plaid.com",
        "sandbox.plaid.com",
        "localhost",
        "127.0.0.1",
    ]
    write("server.pem", certificate("server", server, names, issuer))
    write("server-key.pem", server)
    signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    write("signer-key.pem", signer)
    sns, paypal = "sns.amazonaws.com", "messageverificationcerts.paypal.com"
    write("sns.pem", certificate(sns, signer, [sns], issuer))
    write("paypal.pem", certificate(paypal, signer, [paypal], issuer))
    write("other.pem", certificate(sns, signer, ["sns.amazonaws.com.evil.example"], issuer))
    ended = datetime.datetime(2021, 1, 1)
    write("ended.pem", certificate(sns, signer, [sns], issuer, end=ended))
    client = ec.generate_private_key(ec.SECP256R1())
    names = ["sender.example.com", "sensor-7.plant.example.com"]
    write("client.pem", certificate("sender", client, names, issuer, client=True))
    write("client-key.pem", client)


if __name__ == "__main__":
    main()
