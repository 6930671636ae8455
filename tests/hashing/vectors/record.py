#!/usr/bin/env python3
"""Records where nginx, Envoy and libketama send each of a fixed list of keys.

Every `*.tsv` file beside this script is one program, one algorithm, one set of backends, exactly as
the program answered: no hash is computed here. The README says what the files hold. To record them
again, on Linux, with only the standard library:

    python3 record.py --nginx /usr/sbin/nginx --envoy /path/to/envoy --out .

Each program is optional: `--nginx ''` leaves nginx out, and so on. nginx serves as the backends of
Envoy too, so Envoy needs both. libketama is recorded if `import ketama` works (the PyPI package
`ketama` 0.1.1, which carries libketama's C sources).

The script runs itself again under `unshare` with its own network, mounts and IPC: the backends'
addresses (10.0.0.0/8, fd00::/64) and names exist there only, and nothing outside is touched.
"""

import argparse
import contextlib
import datetime
import hashlib
import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

FRONT = 18000  # nginx's own port; Envoy listens on the next one
HERE = os.path.dirname(os.path.abspath(__file__))

# ---------------------------------------------------------------- backends: (name, weight, down)

EQUAL_3 = [(f"10.0.0.{i}:8080", 1, False) for i in (1, 2, 3)]
# Neither in the order of their numbers nor in that of their text.
WEIGHTED_5 = [
    ("10.0.0.15:8080", 5, False),
    ("10.0.0.9:8080", 1, False),
    ("10.0.0.12:8080", 2, False),
    ("10.0.0.9:8081", 1, False),
    ("10.0.0.101:8080", 3, False),
]
EQUAL_20 = [(f"10.0.1.{i}:8080", 1, False) for i in range(1, 21)]
DOWN = [(name, weight, i in (0, 3)) for i, (name, weight, _) in enumerate(WEIGHTED_5)]
NAMED = [
    ("cache-a", 1, False),
    ("cache-b.example.com", 2, False),
    ("cache-c:8081", 1, False),
    ("Cache-D:8080", 1, False),
    ("10.2.0.5", 1, False),
    ("[fd00::1]:8080", 1, False),
    ("[fd00::2]", 1, False),
]
# Weights at which libketama's count of points depends on where it rounds to `float`.
KETAMA_ROUNDING = [(f"10.0.0.{i}:11211", w, False) for i, w in enumerate((1, 2, 3, 6, 13), 1)]
KETAMA_LARGE = [("10.0.0.1:11211", 49999999, False), ("10.0.0.2:11211", 50000001, False)]

# What the names of NAMED resolve to, and each name's address in full.
HOSTS = {
    "cache-a": "10.2.0.1",
    "cache-b.example.com": "10.2.0.2",
    "cache-c": "10.2.0.3",
    "cache-d": "10.2.0.4",
}


def address(name):
    """`host:port` of the backend a server directive names, as nginx prints it."""
    host, colon, port = name.rpartition(":")
    if not colon or not port.isdigit() or (host.startswith("[") and not host.endswith("]")):
        host, port = name, "80"
    return f"{HOSTS.get(host.lower(), host)}:{port}"


# ---------------------------------------------------------------------------------------- keys

def keys():
    out = [f"key-{i}" for i in range(1, 51)]
    out += list("abcdefghijXYZ")
    out += [str(i) for i in range(10)]
    out += [str(i * i * 7919 + 11) for i in range(1, 28)]
    out += [f"/static/img/{i * 37}.png" for i in range(1, 21)]
    out += [f"https://example.com/items/{i * 113}?page={i % 7}&sort=asc" for i in range(1, 21)]
    out += [f"user:{i * 1009}:session" for i in range(1, 21)]
    out += [hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in range(20)]
    out += [f"Mixed Case, with spaces #{i}" for i in range(1, 9)]
    out += ["ключ-1", "clé-2", "鍵-3", "🔑-4"]
    out += [("long-%d-" % i * 60)[:299] + str(i) for i in range(1, 5)]
    out += ["10.1.2.3", "2001:db8::1", "x=1;y=2", "%41%20b"]
    assert len(out) == len(set(out)) == 200, len(out)
    return out


def addresses():
    v4 = [f"{(i * 37) % 223 + 1}.{(i * 101) % 256}.{(i * 59) % 256}.{(i * 7) % 254 + 1}"
          for i in range(1, 131)]
    v4 += [f"192.168.{i // 4}.{i * 50 % 255 + 1}" for i in range(16)]  # four to a /24
    # Not 255.255.255.255, which nginx's real_ip_header does not take for an address.
    v4 += ["0.0.0.0", "255.255.255.254", "1.1.1.1", "8.8.8.8"]
    v6 = [f"2001:db8:{i * 977 % 65536:x}:{i}::{i * 31:x}" for i in range(1, 41)]
    v6 += [f"2001:db8::{i:x}" for i in range(1, 7)]
    v6 += ["fe80::1", "::", "::ffff:192.0.2.7", "::ffff:10.1.2.3"]
    out = v4 + v6
    assert len(out) == len(set(out)) == 200, len(out)
    return out


# --------------------------------------------------------------------------------------- output

class Out:
    def __init__(self, folder):
        self.folder = folder

    def write(self, name, comments, backends, answers):
        """`answers`: (key, the backend's name), in the order of the keys."""
        with open(os.path.join(self.folder, name + ".tsv"), "w", encoding="utf-8") as f:
            for line in comments + [f"recorded {datetime.date.today()}"]:
                f.write(f"# {line}\n")
            for backend, weight, down in backends:
                f.write(f"backend\t{backend}\t{weight}" + ("\tdown" if down else "") + "\n")
            for key, backend in answers:
                f.write(f"key\t{key}\t{backend}\n")
        print(f"{name}.tsv: {len(answers)} keys")


# ---------------------------------------------------------------------------------- the programs

@contextlib.contextmanager
def running(command, port, log):
    with open(log, "wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(300):
            if child.poll() is not None:
                sys.exit(f"{command[0]} ended:\n{open(log).read()[-3000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        child.terminate()
        child.wait()


class Client:
    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, path, header, value):
        """(what the proxy says it connected to, what the backend says it is)"""
        self.connection.putrequest("GET", path)
        self.connection.putheader(header, value.encode())
        self.connection.endheaders()
        response = self.connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, (response.status, body, path, value)
        return response.headers["X-Upstream"], body


def nginx_conf(upstreams):
    lines = [
        "user root root; daemon off; master_process off; worker_processes 1;",
        "pid nginx.pid; error_log error.log warn;",
        "events { worker_connections 2000; }",
        "http {",
        "access_log off; keepalive_requests 10000000; keepalive_timeout 600s;",
        "client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp;",
        "uwsgi_temp_path tmp; scgi_temp_path tmp;",
        "large_client_header_buffers 4 16k;",
    ]
    for name, (directive, backends) in upstreams.items():
        lines.append(f"upstream {name} {{ {directive}")
        for backend, weight, down in backends:
            lines.append(f"  server {backend} weight={weight}{' down' if down else ''};")
        lines.append("}")
    # All the backends.
    lines.append("server {")
    for port in (80, 8080, 8081):
        lines.append(f"  listen 0.0.0.0:{port}; listen [::]:{port} ipv6only=on;")
    lines.append('  location / { return 200 "$server_addr:$server_port"; }')
    lines.append("}")
    lines.append(f"server {{ listen 127.0.0.1:{FRONT};")
    lines.append("  set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
    lines.append("  add_header X-Upstream $upstream_addr;")
    for name in upstreams:
        lines.append(f"  location /{name}/ {{ proxy_pass http://{name}; }}")
    lines.append("}")
    lines.append("}")
    return "\n".join(lines) + "\n"


NGINX = {  # file's algorithm -> (directive, header with the key, sets)
    "nginx-hash": ("hash $http_x_key;", "X-Key", "abcd"),
    "nginx-consistent": ("hash $http_x_key consistent;", "X-Key", "abcde"),
    "nginx-ip-hash": ("ip_hash;", "X-Real-IP", "abcd"),
}
SETS = {"a": EQUAL_3, "b": WEIGHTED_5, "c": EQUAL_20, "d": DOWN, "e": NAMED}


def nginx_upstreams():
    return {f"{algorithm}.{s}": (directive, SETS[s])
            for algorithm, (directive, _, sets) in NGINX.items() for s in sets}


@contextlib.contextmanager
def nginx_running(nginx, work):
    folder = os.path.join(work, "nginx")
    os.makedirs(os.path.join(folder, "tmp"), exist_ok=True)
    with open(os.path.join(folder, "nginx.conf"), "w") as f:
        f.write(nginx_conf(nginx_upstreams()))
    command = [nginx, "-p", folder, "-e", "error.log", "-c", os.path.join(folder, "nginx.conf")]
    with running(command, FRONT, os.path.join(folder, "output")):
        yield


def record_nginx(nginx, out):
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr.strip()
    version = version.split(": ")[-1]
    client = Client(FRONT)
    for name, (directive, backends) in nginx_upstreams().items():
        algorithm = name.rpartition(".")[0]
        header = NGINX[algorithm][1]
        by_address = {address(backend): backend for backend, _, _ in backends}
        assert len(by_address) == len(backends)
        # nginx takes the next server in turn (round robin) if it finds none by the hash in 20
        # tries. Those answers are not the key's own. Over as many requests as the weights sum up
        # to, round robin visits every server that is up, so such a key shows by its answers not
        # being all the same, and is left out.
        repeat = sum(weight for _, weight, _ in backends)
        asked = addresses() if algorithm == "nginx-ip-hash" else keys()
        answers, left_out = [], []
        for key in asked:
            got = set()
            for _ in range(repeat):
                upstream, body = client.ask(f"/{name}/", header, key)
                # IPv6: nginx prints the server's own address without brackets.
                assert upstream.replace("[", "").replace("]", "") == body, (upstream, body)
                got.add(by_address[upstream])
            if len(got) == 1:
                answers.append((key, got.pop()))
            else:
                left_out.append(key)
        shown = directive.replace("$http_x_key", "$key")
        comments = [version, shown, f"each key asked {repeat} times, every answer the same"]
        if left_out:
            comments.append(f"{len(left_out)} keys left out that nginx gave to round robin")
        out.write(name, comments, backends, answers)
    # Not in the files: what nginx does with an empty key.
    for algorithm in ("nginx-hash", "nginx-consistent"):
        got = [client.ask(f"/{algorithm}.a/", "X-Key", "")[0] for _ in range(6)]
        print(f"{algorithm}, empty key, six times: {' '.join(got)}")


ENVOY = {  # file -> (what the comment says, the cluster's part, set)
    **{f"envoy-ring-hash.{s}": ("RING_HASH, minimum_ring_size 1024 (the default)",
                                {"lb_policy": "RING_HASH"}, s) for s in "abc"},
    **{f"envoy-ring-hash-4096.{s}": (
        "RING_HASH, minimum_ring_size 4096",
        {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 4096}}, s)
       for s in "abc"},
    "envoy-ring-hash-max1000.b": (
        "RING_HASH, minimum_ring_size 1000, maximum_ring_size 1000",
        {"lb_policy": "RING_HASH",
         "ring_hash_lb_config": {"minimum_ring_size": 1000, "maximum_ring_size": 1000}}, "b"),
    **{f"envoy-maglev.{s}": ("MAGLEV, table_size 65537 (the default)",
                             {"lb_policy": "MAGLEV"}, s) for s in "abc"},
    # Small tables show in which order the hosts take their turns.
    **{f"envoy-maglev-{size}.{s}": (
        f"MAGLEV, table_size {size}",
        {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": size}}, s)
       for size, s in ((31, "b"), (31, "c"), (251, "b"))},
}


def envoy_config():
    clusters, routes = [], []
    for name, (_, policy, s) in ENVOY.items():
        endpoints = []
        for backend, weight, _ in SETS[s]:
            host, port = backend.rsplit(":", 1)
            endpoints.append({
                "endpoint": {"address": {"socket_address": {
                    "address": host, "port_value": int(port)}}},
                "load_balancing_weight": weight})
        clusters.append({
            "name": name, "type": "STATIC", "connect_timeout": "5s", **policy,
            "load_assignment": {"cluster_name": name,
                                "endpoints": [{"lb_endpoints": endpoints}]}})
        routes.append({
            "match": {"prefix": f"/{name}/"},
            "route": {"cluster": name, "hash_policy": [{"header": {"header_name": "x-key"}}]}})
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
                 "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "front",
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/"
                                      "envoy.extensions.filters.http.router.v3.Router"}}],
        "route_config": {
            "name": "all",
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
            "response_headers_to_add": [{
                "header": {"key": "x-upstream", "value": "%UPSTREAM_REMOTE_ADDRESS%"}}]},
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": FRONT + 1}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def record_envoy(envoy, work, out):
    version = subprocess.run([envoy, "--version"], capture_output=True, text=True).stdout
    version = "envoy/" + next(part for part in version.split("/") if part[:1].isdigit()
                              and part.count(".") == 2)
    config = os.path.join(work, "envoy.json")
    with open(config, "w") as f:
        json.dump(envoy_config(), f, indent=1)
    command = [envoy, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
    with running(command, FRONT + 1, os.path.join(work, "envoy.log")):
        client = Client(FRONT + 1)
        for name, (comment, _, s) in ENVOY.items():
            names = {backend for backend, _, _ in SETS[s]}
            answers = []
            for key in keys():
                got = {client.ask(f"/{name}/", "X-Key", key) for _ in range(2)}
                (upstream, body), = got
                assert upstream == body and body in names, (upstream, body)
                answers.append((key, body))
            comments = [version, comment + ", hash_policy: header"]
            out.write(name, comments, SETS[s], answers)


KETAMA = {"a": EQUAL_3, "b": WEIGHTED_5, "c": EQUAL_20, "f": KETAMA_ROUNDING, "g": KETAMA_LARGE}


# The module keeps its rings in process-wide variables, so one process for each ring. It counts
# characters where it should count bytes, so it is given bytes.
ASK_KETAMA = """
import json, sys, ketama
ring = ketama.Ketama(sys.argv[1])
points = [server for _, server in ring.get_points()]
answers = [ring.get_server(key.encode())[1] for key in json.load(sys.stdin)]
json.dump([points, answers], sys.stdout)
"""


def record_libketama(work, out):
    for s, backends in KETAMA.items():
        servers = os.path.join(work, f"ketama.{s}.servers")
        with open(servers, "w") as f:
            f.write("".join(f"{backend}\t{weight}\n" for backend, weight, _ in backends))
        child = subprocess.run([sys.executable, "-c", ASK_KETAMA, servers], check=True,
                               input=json.dumps(keys()), capture_output=True, text=True)
        points, servers = json.loads(child.stdout)
        names = [backend for backend, _, _ in backends]
        assert set(points + servers) <= set(names)
        counts = " ".join(str(points.count(name)) for name in names)
        comments = ["libketama, as in the PyPI package ketama 0.1.1; memory = weight",
                    f"points on the ring, in the backends' order: {counts}"]
        out.write(f"libketama.{s}", comments, backends, list(zip(keys(), servers)))


# ---------------------------------------------------------------------------------------- main

def isolate():
    """Runs this script again in its own namespaces, and makes the addresses and names there."""
    network = os.readlink("/proc/self/ns/net")
    outside = os.environ.get("RECORD_OUTSIDE")
    if outside is None:
        os.environ["RECORD_OUTSIDE"] = network
        unshare = ["unshare", "--map-root-user", "--mount", "--net", "--ipc"]
        os.execvp("unshare", unshare + [sys.executable, os.path.abspath(__file__)] + sys.argv[1:])
    assert network != outside
    for command in ("ip link set lo up", "ip route add local 10.0.0.0/8 dev lo",
                    "ip -6 route add local fd00::/64 dev lo"):
        subprocess.run(command.split(), check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".hosts") as f:
        f.write("".join(f"{to} {name}\n" for name, to in HOSTS.items()))
        f.flush()
        subprocess.run(["mount", "--bind", f.name, "/etc/hosts"], check=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--nginx", default="nginx")
    arguments.add_argument("--envoy", default="")
    arguments.add_argument("--out", default=HERE)
    arguments.add_argument("--work", help="keep configurations and logs here")
    given = arguments.parse_args()
    isolate()
    out = Out(given.out)
    work = os.path.abspath(given.work or tempfile.mkdtemp())
    os.makedirs(work, exist_ok=True)
    if given.nginx:
        with nginx_running(shutil.which(given.nginx) or given.nginx, work):
            record_nginx(given.nginx, out)
            if given.envoy:
                record_envoy(given.envoy, work, out)
    if importlib.util.find_spec("ketama"):
        record_libketama(work, out)
    else:
        print("no module ketama: libketama is left out")
    if not given.work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
