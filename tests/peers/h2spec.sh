#!/bin/sh
# Runs h2spec (https://github.com/summerwind/h2spec, RFC 9113 and RFC 7541), strict cases included, against a gateway in front of
# a small upstream: in clear on a listener that speaks HTTP/1.1, too, and on one that does not, and by TLS. The cases that fail
# must be those of `h2spec.known`. Needs python3 and openssl; opt-in, no test calls it.
#
#   H2SPEC=/path/to/h2spec tests/peers/h2spec.sh target/debug/portcullis
set -eu
h2spec="${H2SPEC:-h2spec}"
gateway="$(realpath "$1")"
known="$(dirname "$(realpath "$0")")/h2spec.known"
folder="$(mktemp -d)"
pids=""
trap 'kill $pids 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
cat > upstream.py <<'PYTHON'
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while int(self.rfile.readline(), 16):
                self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b"a body that has some bytes\n"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
cat > compare.py <<'PYTHON'
import sys
from xml.etree import ElementTree

listeners, known = sys.argv[1:4], sys.argv[4]
failed, count = set(), 0
for listener in listeners:
    for case in ElementTree.parse(listener + ".xml").iter("testcase"):
        count += 1
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add((listener, case.get("package"), case.get("classname")))
lines = [line for line in open(known) if line.strip() and not line.startswith("#")]
expected = {tuple(part.strip() for part in line.split("|")[:3]) for line in lines}
print("%d cases on %d listeners, %d fail" % (count, len(listeners), len(failed)))
for case in sorted(failed - expected):
    print("fails and is not known to:", " | ".join(case))
for case in sorted(expected - failed):
    print("is known to fail and passes:", " | ".join(case))
sys.exit(failed != expected or count != 147 * len(listeners))
PYTHON
# Waits until a file has a line, and prints what the expression leaves of it.
await() {
    for _ in $(seq 100); do
        found="$(sed -n "$2" "$1" 2>/dev/null)"
        if [ -n "$found" ]; then
            echo "$found"
            return
        fi
        sleep 0.1
    done
    cat "$1" >&2
    exit 1
}
python3 upstream.py > upstream.port 2> upstream.log & pids="$pids $!"
port="$(await upstream.port 's/^\([0-9][0-9]*\)$/\1/p')"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2> openssl.log
cat > gateway.toml <<TOML
[listeners.both]
address = "127.0.0.1:0"
[listeners.only]
address = "127.0.0.1:0"
protocols = ["h2"]
[listeners.tls]
address = "127.0.0.1:0"
tls.certificates = [{ cert = { file = "cert.pem" }, key = { file = "key.pem" } }]
[upstreams.answers]
endpoints = ["127.0.0.1:$port"]
[[routes]]
name = "all"
upstream = "answers"
TOML
mkdir plugins
"$gateway" run --config gateway.toml > gateway.log 2>&1 & pids="$pids $!"
for listener in both only tls; do
    port="$(await gateway.log "s/.*listener=\"$listener\" address=127\.0\.0\.1:\([0-9]*\).*/\1/p")"
    [ "$listener" = tls ] && flags="-t -k" || flags=""
    # Its own verdict is not ours: what it reports is compared below.
    "$h2spec" -h 127.0.0.1 -p "$port" -S $flags -j "$listener.xml" > "$listener.txt" || true
    [ -s "$listener.xml" ] || cat "$listener.txt" >&2
done
python3 compare.py both only tls "$known"
