"""The servers behind the sinks that sinks.py tries: each can be killed and started again on its port, and tells which
events it has, asked by a client that is not ours. NATS, Redis and PostgreSQL are Debian's, Kafka is Apache's from
Maven Central, the Prefect servers are PyPI's, HTTP/2 is Node's. Two stand in for what cannot be had here: Versity's
gateway for Amazon S3, and a second gateway of ours for Prefect Cloud. In TLS, which NATS and Redis speak in every
second row, PostgreSQL, Kafka and HTTP/2 always, the authorities are our own and clients must show certificates.
"""

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import gateway
import prefect_server
from look_back import LookBack

START_SECONDS = 30


class Process:
    """A server that can be killed and started again on its port, in a folder of its own."""

    def __init__(self, folder, name, start_seconds=START_SECONDS):
        self.folder, self.name, self.process, self.user = folder / name, name, None, {}
        # Where it writes lines before it answers, if it does.
        self.kept = self.folder / "kept.ndjson"
        self.start_seconds = start_seconds
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
        # What a kill tore was not answered, and comes again.
        if self.kept.exists():
            os.truncate(self.kept, self.kept.read_bytes().rfind(b"\n") + 1)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(self.words(), stdout=log, stderr=log, **self.user)
        if not gateway.until(self.is_up, self.start_seconds):
            raise RuntimeError(f"{self.name} is not up after {self.start_seconds} s")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        """Takes away what it has outside its folder."""

    def check(self, checks):
        """What else must be true of it once all is there."""

    def plain(self, event):
        """The event as this one shows it."""
        return event

    def wants(self, event):
        """Whether it is sent the event."""
        return True


class Certificates:
    """An authority, a server's certificate and a client's, as files; and what a setting of a destination says of them."""

    def __init__(self, folder):
        import trustme
        from cryptography.hazmat.primitives import serialization

        authority = trustme.CA()
        self.authority, self.server, self.client = folder / "ca.pem", folder / "server.pem", folder / "client.pem"
        self.server_key, self.client_key = folder / "server.key", folder / "client.key"
        authority.cert_pem.write_to_path(self.authority)
        for issued, certificate, key in (
            (authority.issue_cert(gateway.LOOPBACK, "localhost"), self.server, self.server_key),
            (authority.issue_cert("client@hookgate"), self.client, self.client_key),
        ):
            # Kafka reads keys in PKCS #8 only.
            secret = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
            form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            key.write_bytes(secret.private_bytes(serialization.Encoding.PEM, *form))
            # PostgreSQL takes no key that others could read.
            key.chmod(0o600)
            certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.settings = f"tls_ca={self.authority}&tls_certificate={self.client}&tls_key={self.client_key}"

    def context(self):
        """For a client of ours."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.client, self.client_key)
        return context


class Http2(Process):
    """Node's HTTP/2 server in TLS, which asks for a client's certificate and for a token; it keeps what it was sent in a
    file before it answers."""

    TOKEN = "t-o-k-e-n"
    PROGRAM = """
const [port, kept, token, ...files] = process.argv.slice(1);
const fs = require("node:fs"), [ca, cert, key] = files.map((file) => fs.readFileSync(file));
const out = fs.openSync(kept, "a");
const options = { ca, cert, key, requestCert: true, rejectUnauthorized: true, allowHTTP1: false };
require("node:http2").createSecureServer(options, (request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
    const who = request.socket.getPeerCertificate().subjectaltname ?? "";
    const known = request.headers.authorization === `Bearer ${token}` && who.includes("client@hookgate");
    if (known) {
      const events = JSON.parse(Buffer.concat(chunks));
      fs.writeSync(out, events.map((event) => JSON.stringify({ event, version: request.httpVersion }) + "\\n").join(""));
    }
    response.writeHead(known ? 204 : 401).end();
  });
}).listen(Number(port), "127.0.0.1");
"""

    def __init__(self, folder):
        super().__init__(folder, "https-http2")
        token = self.folder / "token"
        token.write_text(self.TOKEN)
        self.certificates = Certificates(self.folder)
        settings = f"bearer_file={token}&{self.certificates.settings}"
        self.to = f"https://{gateway.LOOPBACK}:{self.port}/in?{settings}"

    def words(self):
        files = self.certificates
        place = [str(self.port), self.kept, self.TOKEN, files.authority, files.server, files.server_key]
        return ["node", "-e", self.PROGRAM, "--", *place]

    def received(self):
        *lines, _ = self.kept.read_bytes().split(b"\n") if self.kept.exists() else [b""]
        found = [json.loads(line) for line in lines]
        assert {one["version"] for one in found} == {"2.0"}, found[:1]
        return [one["event"] for one in found]


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


class Postgres(Process):
    """A real PostgreSQL server that takes passwords in TLS only, from clients that show their certificate."""

    TABLE, PASSWORD = "public.events", "pass'word"

    def __init__(self, folder):
        super().__init__(folder, "postgres")
        # It serves nobody as root, and the folder of the check is root's alone.
        self.home = Path(tempfile.mkdtemp(prefix="hookgate-postgres-"))
        self.certificates = Certificates(self.home)
        self.login = self.home / "login"
        self.login.write_text(f"postgres:{self.PASSWORD}\n")
        word = self.home / "password"
        word.write_text(self.PASSWORD)
        self.user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self.user:
            for path in (self.home, *self.home.iterdir()):
                shutil.chown(path, "postgres", "postgres")
        self.programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self.data = self.home / "data"
        words = ["-D", self.data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "-N"]
        subprocess.run([self.programs / "initdb", *words], check=True, stdout=subprocess.DEVNULL, **self.user)
        rule = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        (self.data / "pg_hba.conf").write_text(rule)
        self.to = (
            f"postgres+tls://{gateway.LOOPBACK}:{self.port}/postgres/{self.TABLE}"
            f"?create_table=true&basic_file={self.login}&{self.certificates.settings}"
        )

    def words(self):
        files = self.certificates
        flags = {"port": self.port, "listen_addresses": gateway.LOOPBACK, "unix_socket_directories": "", "ssl": "on"}
        flags |= {"ssl_cert_file": files.server, "ssl_key_file": files.server_key, "ssl_ca_file": files.authority}
        return [self.programs / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in flags.items())]

    def remove(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def received(self):
        import asyncpg

        async def read():
            login = {"user": "postgres", "password": self.PASSWORD, "database": "postgres"}
            tls = self.certificates.context()
            client = await asyncpg.connect(host=gateway.LOOPBACK, port=self.port, ssl=tls, **login)
            try:
                return await client.fetch(f"select place, id, event, resource, occurred, body from {self.TABLE}")
            finally:
                await client.close()

        rows = asyncio.run(read())
        events = [json.loads(row["body"]) for row in rows]
        for row, event in zip(rows, events):
            named = (str(row["place"]), str(row["id"]), row["event"], row["resource"])
            place, resource = event["workspace"] or event["account"], event["resource"]["prefect.resource.id"]
            assert named == (place, event["id"], event["event"], resource), named
            assert row["occurred"] == datetime.fromisoformat(event["occurred"].replace("Z", "+00:00")), row
        return events


class Files(Process):
    """No server: files that make room for one another."""

    BYTES = 200_000

    def __init__(self, folder):
        super().__init__(folder, "file")
        self.path = self.folder / "out.ndjson"
        self.to = f"file:{self.path}?rotate_bytes={self.BYTES}&rotate_keep=1000"

    def start(self):
        pass

    def received(self):
        files = sorted(self.folder.glob("out.ndjson.2*"))
        assert len(files) > 3 and all(file.stat().st_size <= self.BYTES for file in files), files
        return [json.loads(line) for file in (*files, self.path) for line in file.read_bytes().splitlines()]


class Stdout(Files):
    """No server either: what the gateway itself prints."""

    def __init__(self, folder):
        Process.__init__(self, folder, "stdout")
        self.to, self.path = "stdout", folder / "gateway.out"

    def received(self):
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


class Kafka(Process):
    """A real Kafka broker, its own controller, that takes logins by SCRAM in TLS, from clients that show their
    certificate."""

    TOPIC, USER, PASSWORD, PARTITIONS = "events", "hookgate", "pass-word", 3

    def __init__(self, folder):
        super().__init__(folder, "kafka", start_seconds=90)
        self.certificates = files = Certificates(self.folder)
        login = self.folder / "login"
        login.write_text(f"{self.USER}:{self.PASSWORD}\n")
        # It reads one file with both.
        store = self.folder / "server-both.pem"
        store.write_bytes(files.server_key.read_bytes() + files.server.read_bytes())
        own, controller = gateway.free_port(), gateway.free_port()
        client, properties = "listener.name.client", {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{gateway.LOOPBACK}:{controller}",
            "listeners": f"CLIENT://{gateway.LOOPBACK}:{self.port},OWN://{gateway.LOOPBACK}:{own},"
            f"CONTROLLER://{gateway.LOOPBACK}:{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "OWN",
            "listener.security.protocol.map": "CLIENT:SASL_SSL,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "log",
            "offsets.topic.replication.factor": 1,
        }
        properties |= {
            f"{client}.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{client}.scram-sha-512.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            f"{client}.ssl.keystore.type": "PEM",
            f"{client}.ssl.keystore.location": store,
            f"{client}.ssl.truststore.type": "PEM",
            f"{client}.ssl.truststore.location": files.authority,
            f"{client}.ssl.client.auth": "required",
        }
        self.config = self.folder / "server.properties"
        self.config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        self.to = (
            f"kafka+tls://{gateway.LOOPBACK}:{self.port}/{self.TOPIC}?basic_file={login}&{files.settings}"
        )
        login = f"SCRAM-SHA-512=[name={self.USER},password={self.PASSWORD}]"
        words = ["format", "-t", "aG9va2dhdGUtcGVlcnMtMQ", "-c", self.config, "--add-scram", login]
        subprocess.run([*self.java("kafka.tools.StorageTool"), *words], check=True, capture_output=True)

    def java(self, name):
        # Little memory, and no time spent on what only long runs gain by.
        jars = gateway.ROOT / "target/peers/kafka/*"
        return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", jars, name]

    def words(self):
        return [*self.java("kafka.Kafka"), self.config]

    def client(self):
        files = self.certificates
        return {
            "bootstrap_servers": f"{gateway.LOOPBACK}:{self.port}",
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.USER,
            "sasl_plain_password": self.PASSWORD,
            "ssl_cafile": str(files.authority),
            "ssl_certfile": str(files.client),
            "ssl_keyfile": str(files.client_key),
        }

    def start(self):
        first = self.process is None
        super().start()
        if first:
            from kafka.admin import KafkaAdminClient, NewTopic

            admin = KafkaAdminClient(**self.client())
            admin.create_topics([NewTopic(self.TOPIC, self.PARTITIONS, 1)])
            admin.close()

    def received(self):
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(**self.client(), enable_auto_commit=False)
        partitions = [TopicPartition(self.TOPIC, number) for number in range(self.PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends, records = consumer.end_offsets(partitions), []
        deadline = time.monotonic() + START_SECONDS
        while any(consumer.position(one) < end for one, end in ends.items()) and time.monotonic() < deadline:
            for found in consumer.poll(timeout_ms=500).values():
                records += found
        consumer.close()
        events = [json.loads(record.value) for record in records]
        for record, event in zip(records, events):
            named = f"{event['workspace'] or event['account']}/{event['id']}"
            assert dict(record.headers) == {"id": named.encode()}, record.headers
            assert record.key.decode() == event["resource"]["prefect.resource.id"], record.key
        return events


class Prefect(prefect_server.Server):
    """A real Prefect server that knows users, over HTTP or its websocket; it shows events without what the gateway adds."""

    LOGIN = "admin:pass word"

    def __init__(self, folder, way):
        self.name, self.folder = f"prefect-{way}", folder / f"prefect-{way}"
        self.folder.mkdir()
        super().__init__(self.folder)
        self.env["PREFECT_SERVER_API_AUTH_STRING"] = self.LOGIN
        login = self.folder / "login"
        login.write_text(f"{self.LOGIN}\n")
        setting = {"http": "basic_file", "ws": "bearer_file"}[way]
        self.to = f"prefect+{way}://{gateway.LOOPBACK}:{self.port}/api?{setting}={login}"

    def ask(self, url, value=None):
        headers = {"content-type": "application/json"}
        headers["authorization"] = f"Basic {base64.b64encode(self.LOGIN.encode()).decode()}"
        body = None if value is None else json.dumps(value).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
            return json.load(answer)

    def received(self):
        names = {"prefix": ["prefect-cloud.", "hookgate.", "peer."]}
        asked = {"occurred": {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}, "event": names}
        page = self.ask(f"{self.api}/events/filter", {"filter": asked, "limit": 50})
        events = page["events"]
        while page["next_page"]:
            page = self.ask(page["next_page"])
            events += page["events"]
        return [self.plain(event) for event in events]

    def plain(self, event):
        return {name: event[name] for name in prefect_server.MEMBERS}

    def wants(self, event):
        return True

    def remove(self):
        pass

    def check(self, checks):
        pass


class Cloud(Process):
    """The stand-in for Prefect Cloud: a second gateway, with the paths and keys of Cloud. It makes events of its own, and
    takes none that are named as those; it says itself whose an event is; and it looks back as far as Cloud may."""

    def __init__(self, folder, way):
        self.name, self.folder = f"cloud-{way}", folder / f"cloud-{way}"
        self.folder.mkdir()
        # The webhooks that events name are the first one's, and stay as they are.
        self.gateway = gateway.Gateway(self.folder, env={"HOOKGATE_EVENTS__RESERVED_NAMES": "true"})
        key = self.folder / "key"
        key.write_text(self.gateway.account["api_key"])
        self.look_back = LookBack(self.gateway.port)
        place = f"{gateway.LOOPBACK}:{self.look_back.port}{self.gateway.account['api_path']}"
        self.to, self.where = f"prefect+{way}://{place}?bearer_file={key}", "event.event.startswith('peer.')"

    def start(self):
        self.gateway.start()

    def kill(self):
        self.gateway.kill()

    def wants(self, event):
        return event["event"].startswith("peer.")

    def plain(self, event):
        return {name: event[name] for name in prefect_server.MEMBERS}

    def received(self):
        return [self.plain(event) for event in self.gateway.drained_events() if self.wants(event)]

    def check(self, checks):
        checks.true(f"{self.name}: it is asked what it keeps", self.look_back.asked > 0, self.look_back.asked)
        checks.equal(f"{self.name}: no question looks too far back", self.look_back.refused, [])


class Objects(Process):
    """The stand-in for Amazon S3: Versity's server of the same protocol (from the Go module proxy), which keeps objects in
    a folder."""

    BUCKET, KEY, SECRET = "bucket", "AKIDEXAMPLE", "s3cr3t/with+signs"

    def __init__(self, folder):
        super().__init__(folder, "s3")
        login = self.folder / "login"
        login.write_text(f"{self.KEY}:{self.SECRET}\n")
        (self.folder / "objects").mkdir()
        self.to = (
            f"s3+http://{gateway.LOOPBACK}:{self.port}/{self.BUCKET}/events/all"
            f"?basic_file={login}&region=eu-central-1&gather_seconds=1"
        )

    def words(self):
        program = gateway.installed("bin/versitygw")
        flags = ["--port", f"{gateway.LOOPBACK}:{self.port}", "--access", self.KEY, "--secret", self.SECRET]
        return [program, *flags, "--region", "eu-central-1", "posix", self.folder / "objects"]

    def client(self):
        from minio import Minio

        login = {"access_key": self.KEY, "secret_key": self.SECRET, "region": "eu-central-1"}
        return Minio(f"{gateway.LOOPBACK}:{self.port}", secure=False, **login)

    def start(self):
        first = self.process is None
        super().start()
        if first:
            self.client().make_bucket(self.BUCKET)

    def received(self):
        import zstandard

        client, events = self.client(), []
        names = sorted(found.object_name for found in client.list_objects(self.BUCKET, "events/all/", recursive=True))
        for name in names:
            answer = client.get_object(self.BUCKET, name)
            assert answer.headers["content-type"] == "application/zstd", answer.headers
            text = zstandard.ZstdDecompressor().decompress(answer.read(), max_output_size=1 << 26)
            events += [json.loads(line) for line in text.splitlines()]
            answer.close()
        return events
