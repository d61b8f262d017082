"""Programs that nobody here wrote, under their real load; counts are compared with requests sent and their own metrics.

Each prints a row of the table in docs/real-programs.md.
"""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import LIMIT_S, Recording, Starter, funcrec, wait_until
from tests.toolchain import go_build, go_environment, go_tool

REAL = Path(__file__).parent
REQUESTS = 1009
TOKEN = "recorder"  # what servers with TLS want to be told


@dataclass(frozen=True)
class Subject:
    """A program: its package, and the patterns to record."""

    package: str
    patterns: tuple[str, ...]

    @property
    def name(self) -> str:
        name = self.package.removesuffix("/v3").rpartition("/")[2]
        return "etcd" if name == "server" else name

    def build(self) -> Path:
        return go_build(REAL / self.name, package=self.package, name=self.name)


ETCD = Subject("go.etcd.io/etcd/server/v3", ("go.etcd.io/etcd/server/*", "google.golang.org/grpc.*"))
CADDY = Subject("github.com/caddyserver/caddy/v2/cmd/caddy", ("github.com/caddyserver/caddy/*", "net/http.*"))
HUGO = Subject("github.com/gohugoio/hugo", ("github.com/gohugoio/hugo/hugolib.*", "github.com/gohugoio/hugo/markup/*"))
PROMETHEUS = Subject(
    "github.com/prometheus/prometheus/cmd/prometheus",
    ("github.com/prometheus/prometheus/web/*", "github.com/prometheus/prometheus/promql.*"),
)
KUBERNETES = Subject(
    "k8s.io/kubernetes/cmd/kube-apiserver",
    ("k8s.io/kubernetes/pkg/registry/core/*", "k8s.io/apiserver/pkg/registry/*", "k8s.io/apiserver/pkg/endpoints/*"),
)
ALL = [ETCD, CADDY, HUGO, PROMETHEUS, KUBERNETES]


def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a server and wait until it answers at a port."""
    started: list[subprocess.Popen[bytes]] = []

    def start(number: int, *command: str | Path) -> subprocess.Popen[bytes]:
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        with (tmp_path / "log").open("wb") as log:
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | home))
        wait_until(lambda: _answers(number), "it answers")
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _answers(number: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", number)) == 0


def connect(number: int, *, secure: bool) -> http.client.HTTPConnection:
    """A connection to a server of this machine, whoever it says it is."""
    if not secure:
        return http.client.HTTPConnection("127.0.0.1", number, timeout=LIMIT_S)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", number, timeout=LIMIT_S, context=anybody)


def known(*, secure: bool) -> dict[str, str]:
    """Headers that say who we are."""
    return {"Authorization": f"Bearer {TOKEN}"} if secure else {}


def ask(number: int, requests: list[tuple[str, str, str]], *, secure: bool = False) -> float:
    """Send requests (method, path, body) one after the other over one connection; returns the seconds that took."""
    connection = connect(number, secure=secure)
    headers = {"Content-Type": "application/json"} | known(secure=secure)
    started = time.monotonic()
    for method, path, body in requests:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 201), text
    connection.close()
    return time.monotonic() - started


def metric(number: int, name: str, *, secure: bool = False) -> float:
    """One value of /metrics; 0 when it is not there yet."""
    connection = connect(number, secure=secure)
    connection.request("GET", "/metrics", headers=known(secure=secure))
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def recorded(path: Path) -> Counter[str]:
    """Calls by function, all of which returned or are open."""
    rows = json.loads(funcrec("stat", path, "--format", "json", "-n", "100000").stdout)
    return Counter({row["func"]: row["calls"] for row in rows})


def row(subject: Subject, binary: Path, recording: Recording, start_s: float, plain_s: float, slow_s: float) -> None:
    """Print what was measured, as a row of the table."""
    info = json.loads(funcrec("info", recording.path, "--format", "json").stdout)
    assert info["lost"] == 0
    assert funcrec("info", recording.path, "--check").returncode == 0
    listed = re.search(r"recording (\d[\d ]*) functions, (\d[\d ]*) probes", recording.said)
    assert listed is not None
    size = recording.path.stat().st_size
    cells = [
        subject.name,
        f"{binary.stat().st_size / 1e6:.0f} MB",
        listed[1],
        listed[2],
        f"{start_s:.1f} s",
        f"{info['calls']:,}".replace(",", " "),
        f"{size / 1e3:.0f} KB, {size / max(info['events'], 1):.1f} B",
        f"{slow_s / plain_s:.2f}",
        str(info["lost"]),
    ]
    print("\n| " + " | ".join(cells) + " |")


def record_while(
    start_recording: Starter, subject: Subject, pid: int, load: Callable[[], float]
) -> tuple[Recording, float, float]:
    """Record a server while it has a load; returns the recording, seconds until armed, and what `load` returned."""
    began = time.monotonic()
    recording = start_recording(subject.build(), subject.patterns, options=["-p", str(pid)])
    recording.wait_armed()
    armed = time.monotonic() - began
    result = load()
    recording.interrupt()
    assert recording.finish().status == 0, recording.said
    return recording, armed, result


@pytest.mark.parametrize("subject", ALL, ids=lambda subject: subject.name)
def test_list(subject: Subject) -> None:
    """Everything in them can be listed, and next to nothing that was named is left out."""
    done = funcrec("list", "-u", "*", "--format", "json", subject.build())
    functions = json.loads(done.stdout)
    rows = functions["functions"] if isinstance(functions, dict) else functions
    assert len(rows) > 10_000


def test_etcd(start_recording: Starter, serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    client, peer = port(), port()
    urls = [f"http://127.0.0.1:{number}" for number in (client, peer)]
    binary = ETCD.build()
    server = serve(
        client,
        *(binary, f"--data-dir={tmp_path}/data", f"--listen-client-urls={urls[0]}", f"--listen-peer-urls={urls[1]}"),
        *(f"--advertise-client-urls={urls[0]}", f"--initial-advertise-peer-urls={urls[1]}"),
        f"--initial-cluster=default={urls[1]}",
    )

    def load() -> float:
        key = [base64.b64encode(f"key{n}".encode()).decode() for n in range(REQUESTS)]
        puts = [("POST", "/v3/kv/put", json.dumps({"key": one, "value": one})) for one in key]
        ranges = [("POST", "/v3/kv/range", json.dumps({"key": one})) for one in key]
        return ask(client, [pair for both in zip(puts, ranges, strict=True) for pair in both])

    counted = (
        'grpc_server_handled_total{grpc_code="OK",grpc_method="%s",grpc_service="etcdserverpb.KV",grpc_type="unary"}'
    )
    plain = load()
    before = {method: metric(client, counted % method) for method in ("Put", "Range")}
    recording, armed, slow = record_while(start_recording, ETCD, server.pid, load)
    after = {method: metric(client, counted % method) for method in ("Put", "Range")}
    calls = recorded(recording.path)
    for method in ("Put", "Range"):
        handled = calls[f"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc.(*kvServer).{method}"]
        assert handled == REQUESTS == after[method] - before[method]
    row(ETCD, binary, recording, armed, plain, slow)


def test_caddy(start_recording: Starter, serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    number = port()
    binary = CADDY.build()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<p>hello</p>" * 300)
    server = serve(number, binary, "file-server", "--listen", f"127.0.0.1:{number}", "--root", tmp_path / "site")

    def load() -> float:
        return ask(number, [("GET", "/", "")] * REQUESTS)

    plain = load()
    recording, armed, slow = record_while(start_recording, CADDY, server.pid, load)
    calls = recorded(recording.path)
    assert calls["github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).ServeHTTP"] == REQUESTS
    served = "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver.(*FileServer).ServeHTTP"
    assert calls[served] == REQUESTS
    row(CADDY, binary, recording, armed, plain, slow)


def test_prometheus(start_recording: Starter, serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    number = port()
    binary = PROMETHEUS.build()
    (tmp_path / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    server = serve(
        number,
        *(binary, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"),
        f"--web.listen-address=127.0.0.1:{number}",
    )

    def load() -> float:
        return ask(number, [("GET", f"/api/v1/query?query=vector({n})*2", "") for n in range(REQUESTS)])

    counted = 'prometheus_http_requests_total{code="200",handler="/api/v1/query"}'
    wait_until(lambda: b"ready to receive web requests" in (tmp_path / "log").read_bytes(), "it is ready")
    plain = load()
    before = metric(number, counted)
    recording, armed, slow = record_while(start_recording, PROMETHEUS, server.pid, load)
    assert metric(number, counted) - before == REQUESTS
    assert recorded(recording.path)["github.com/prometheus/prometheus/web/api/v1.(*API).query"] == REQUESTS
    row(PROMETHEUS, binary, recording, armed, plain, slow)


def test_hugo(start_recording: Starter, tmp_path: Path) -> None:
    """A program that ends by itself: the pages it says it has made are those that were rendered."""
    binary = HUGO.build()
    site = tmp_path / "site"
    (site / "content").mkdir(parents=True)
    (site / "layouts" / "_default").mkdir(parents=True)
    (site / "hugo.toml").write_text('baseURL = "https://example.org/"\ndisableKinds = ["taxonomy", "rss", "sitemap"]\n')
    for name in ("single", "list"):
        (site / "layouts" / "_default" / f"{name}.html").write_text("<h1>{{ .Title }}</h1>{{ .Content }}")
    for n in range(REQUESTS):
        (site / "content" / f"page{n}.md").write_text(f"---\ntitle: Page {n}\n---\n# Text\n\n* one\n* two *{n}*\n")
    command = ["--source", str(site), "--destination", str(tmp_path / "public")]
    began = time.monotonic()
    said = subprocess.run([binary, *command], capture_output=True, text=True, check=True).stdout
    plain = time.monotonic() - began
    shutil.rmtree(tmp_path / "public")
    pages = re.search(r"Pages\D+(\d+)", said)
    assert pages is not None, said
    began = time.monotonic()
    recording = start_recording(binary, HUGO.patterns, launch_args=command)
    recording.wait_armed()
    armed = time.monotonic() - began
    assert recording.finish().status == 0, recording.said
    calls = recorded(recording.path)
    assert calls["github.com/gohugoio/hugo/hugolib.(*Site).renderAndWritePage"] == int(pages[1])
    assert int(pages[1]) >= REQUESTS
    assert len(list((tmp_path / "public").rglob("index.html"))) == int(pages[1])
    row(HUGO, binary, recording, armed, plain, time.monotonic() - began - armed)


def test_kubernetes(start_recording: Starter, serve: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """The API server over the etcd from above: config maps are made and deleted."""
    client, peer, number = port(), port(), port()
    urls = [f"http://127.0.0.1:{one}" for one in (client, peer)]
    serve(
        client,
        *(ETCD.build(), f"--data-dir={tmp_path}/data", f"--listen-client-urls={urls[0]}"),
        *(f"--listen-peer-urls={urls[1]}", f"--advertise-client-urls={urls[0]}"),
        *(f"--initial-advertise-peer-urls={urls[1]}", f"--initial-cluster=default={urls[1]}"),
    )
    makes_keys = go_tool().parent.parent / "src" / "crypto" / "tls" / "generate_cert.go"
    subprocess.run([go_tool(), "run", makes_keys, "-host", "localhost"], cwd=tmp_path, env=go_environment(), check=True)
    (tmp_path / "tokens").write_text(f"{TOKEN},recorder,1\n")
    binary, key = KUBERNETES.build(), tmp_path / "key.pem"
    server = serve(
        number,
        *(binary, f"--etcd-servers={urls[0]}", f"--secure-port={number}", "--bind-address=127.0.0.1"),
        *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
        *("--service-account-issuer=https://kubernetes.test", f"--cert-dir={tmp_path}/certificates"),
        *("--authorization-mode=AlwaysAllow", f"--token-auth-file={tmp_path}/tokens"),
        "--service-cluster-ip-range=10.0.0.0/24",
    )
    maps = "/api/v1/namespaces/default/configmaps"

    def is_ready() -> bool:
        connection = connect(number, secure=True)
        connection.request("GET", "/readyz", headers=known(secure=True))
        ready = connection.getresponse().status == 200
        connection.close()
        return ready

    def load(times: str) -> float:
        names = [f"map{n}-{times}" for n in range(REQUESTS)]
        bodies = [json.dumps({"metadata": {"name": name}, "data": {"key": name}}) for name in names]
        made = [("POST", maps, body) for body in bodies]
        deleted = [("DELETE", f"{maps}/{name}", "") for name in names]
        return ask(number, [pair for both in zip(made, deleted, strict=True) for pair in both], secure=True)

    counted = (
        'apiserver_request_total{code="%s",component="apiserver",dry_run="",group="",resource="configmaps",'
        'scope="resource",subresource="",verb="%s",version="v1"}'
    )
    of = {"Create": counted % (201, "POST"), "Delete": counted % (200, "DELETE")}
    wait_until(is_ready, "it is ready")
    plain = load("first")
    before = {call: metric(number, name, secure=True) for call, name in of.items()}
    recording, armed, slow = record_while(start_recording, KUBERNETES, server.pid, lambda: load("recorded"))
    calls = recorded(recording.path)
    for call, name in of.items():
        handled = calls[f"k8s.io/apiserver/pkg/registry/generic/registry.(*Store).{call}"]
        assert handled == REQUESTS == metric(number, name, secure=True) - before[call]
    row(KUBERNETES, binary, recording, armed, plain, slow)
