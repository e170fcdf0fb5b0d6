"""The servers behind the sinks that sinks.py tries: each can be killed and started again on its port, and tells which
events it has, asked by a client that is not ours. NATS and Redis are Debian's, once in the open and once in TLS with
a certificate authority of our own and clients that must show theirs.
"""

import asyncio
import json
import ssl
import subprocess

import gateway

START_SECONDS = 30


class Process:
    """A server that can be killed and started again on its port, in a folder of its own."""

    def __init__(self, folder, name):
        self.folder, self.name, self.process = folder / name, name, None
        self.folder.mkdir()
        self.port = gateway.free_port()

    def words(self):
        """The command that serves."""
        raise NotImplementedError

    def is_up(self):
        try:
            gateway.Connection(self.port, seconds=2).close()
            return True
        except OSError:
            return False

    def start(self):
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.words(), stdout=log, stderr=log)
        if not gateway.until(self.is_up, START_SECONDS):
            raise RuntimeError(f"{self.name} is not up after {START_SECONDS} s")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Certificates:
    """An authority, a server's certificate and a client's, as files; and what a setting of a destination says of them."""

    def __init__(self, folder):
        import trustme

        authority = trustme.CA()
        self.authority, self.server, self.client = folder / "ca.pem", folder / "server.pem", folder / "client.pem"
        self.server_key, self.client_key = folder / "server.key", folder / "client.key"
        authority.cert_pem.write_to_path(self.authority)
        for issued, certificate, key in (
            (authority.issue_cert(gateway.LOOPBACK, "localhost"), self.server, self.server_key),
            (authority.issue_cert("client@hookgate"), self.client, self.client_key),
        ):
            issued.private_key_pem.write_to_path(key)
            # PostgreSQL takes no key that others could read.
            key.chmod(0o600)
            certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.settings = f"tls_ca={self.authority}&tls_certificate={self.client}&tls_key={self.client_key}"

    def context(self):
        """For a client of ours."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.client, self.client_key)
        return context


class Nats(Process):
    """A real NATS server with JetStream and one stream, which needs a token and takes messages of 64 KiB."""

    SUBJECT, TOKEN = "hookgate.events", "t-o-k-e-n"

    def __init__(self, folder, tls=False):
        super().__init__(folder, "nats-tls" if tls else "nats")
        token = self.folder / "token"
        token.write_text(self.TOKEN)
        self.config = self.folder / "server.conf"
        self.certificates = Certificates(self.folder) if tls else None
        words = (
            f'listen: "{gateway.LOOPBACK}:{self.port}"\nmax_payload: 65536\n'
            f'jetstream {{ store_dir: "{self.folder}" }}\nauthorization {{ token: "{self.TOKEN}" }}\n'
        )
        scheme, settings = "nats", f"bearer_file={token}"
        if files := self.certificates:
            scheme, settings = "nats+tls", f"{settings}&{files.settings}"
            words += (
                f'tls {{ cert_file: "{files.server}", key_file: "{files.server_key}", '
                f'ca_file: "{files.authority}", verify: true }}\n'
            )
        self.config.write_text(words)
        self.to = f"{scheme}://{gateway.LOOPBACK}:{self.port}/{self.SUBJECT}?{settings}"

    def words(self):
        return ["nats-server", "-c", self.config]

    def start(self):
        first = self.process is None
        super().start()
        if first:
            asyncio.run(self._with_stream(lambda js: js.add_stream(name="EVENTS", subjects=[self.SUBJECT])))

    def received(self):
        async def read(js):
            state = (await js.stream_info("EVENTS")).state
            messages = [await js.get_msg("EVENTS", number) for number in range(1, state.last_seq + 1)]
            events = [json.loads(message.data) for message in messages]
            named = [f"{event['workspace'] or event['account']}/{event['id']}" for event in events]
            assert named == [message.headers["Nats-Msg-Id"] for message in messages]
            return events

        return asyncio.run(self._with_stream(read))

    async def _with_stream(self, work):
        import nats

        tls = {"tls": self.certificates.context()} if self.certificates else {}
        client = await nats.connect(f"nats://{gateway.LOOPBACK}:{self.port}", token=self.TOKEN, **tls)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()


class Redis(Process):
    """A real Redis server that syncs each write, and needs a password."""

    STREAM, PASSWORD = "events", "pass word"

    def __init__(self, folder, tls=False):
        super().__init__(folder, "redis-tls" if tls else "redis")
        login = self.folder / "login"
        login.write_text(f"default:{self.PASSWORD}\n")
        self.certificates = Certificates(self.folder) if tls else None
        scheme, settings = "redis", f"basic_file={login}&maxlen=1000000"
        if tls:
            scheme, settings = "rediss", f"{settings}&{self.certificates.settings}"
        self.to = f"{scheme}://{gateway.LOOPBACK}:{self.port}/{self.STREAM}?{settings}"

    def words(self):
        flags = {"port": self.port, "bind": gateway.LOOPBACK, "dir": self.folder, "requirepass": self.PASSWORD}
        flags |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        if files := self.certificates:
            flags |= {"port": 0, "tls-port": self.port, "tls-auth-clients": "yes", "tls-ca-cert-file": files.authority}
            flags |= {"tls-cert-file": files.server, "tls-key-file": files.server_key}
        return ["redis-server", *(str(word) for name, value in flags.items() for word in (f"--{name}", value))]

    def received(self):
        import redis

        tls = {}
        if files := self.certificates:
            tls = {"ssl": True, "ssl_ca_certs": files.authority, "ssl_certfile": files.client, "ssl_keyfile": files.client_key}
        with redis.Redis(host=gateway.LOOPBACK, port=self.port, password=self.PASSWORD, **tls) as client:
            entries = client.xrange(self.STREAM)
        events = [json.loads(fields[b"event"]) for _, fields in entries]
        assert [event["id"].encode() for event in events] == [fields[b"id"] for _, fields in entries]
        return events
