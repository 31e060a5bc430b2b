#!/bin/sh
# Runs the fuzzing client of the Autobahn test suite (WebSocket, RFC 6455) against its own echo server alone and behind the
# gateway, and compares the verdicts. Needs Python 2.7 with `autobahntestsuite==0.8.2` from PyPI; opt-in, no test calls it.
#
#   PYTHON27=/path/to/python2.7 tests/peers/autobahn.sh target/debug/portcullis
set -eu
python="${PYTHON27:-python2.7}"
gateway="$(realpath "$1")"
folder="$(mktemp -d)"
trap 'kill $pids 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
# It refuses a Host with another port than its own, so the one behind the gateway is told the gateway's.
cat > echo.py <<'PYTHON'
import sys
from twisted.internet import reactor
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol, listenWS

class Echo(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)

factory = WebSocketServerFactory("ws://127.0.0.1:" + sys.argv[1], externalPort=int(sys.argv[2]))
factory.protocol = Echo
factory.setProtocolOptions(failByDrop=False)
listenWS(factory, interface="127.0.0.1")
reactor.run()
PYTHON
cat > compare.py <<'PYTHON'
import json, sys

agents = json.load(open("reports/index.json"))
verdict = lambda case: (case["behavior"], case["behaviorClose"])
alone, behind = agents["alone"], agents["gateway"]
other = [name for name in alone if verdict(alone[name]) != verdict(behind[name])]
print("%d cases, %d with another verdict behind the gateway: %s" % (len(alone), len(other), other))
sys.exit(1 if other else 0)
PYTHON
cat > gateway.toml <<'TOML'
[listeners.public]
address = "127.0.0.1:19881"
[upstreams.echo]
endpoints = ["127.0.0.1:19883"]
[[routes]]
name = "all"
upstream = "echo"
TOML
cat > spec.json <<'JSON'
{"outdir": "reports",
 "servers": [{"agent": "alone", "url": "ws://127.0.0.1:19882"}, {"agent": "gateway", "url": "ws://127.0.0.1:19881"}],
 "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}
JSON
mkdir plugins
pids=""
"$python" echo.py 19882 19882 & pids="$pids $!"
"$python" echo.py 19883 19881 & pids="$pids $!"
"$gateway" run --config gateway.toml & pids="$pids $!"
sleep 3
"$python" -c 'import sys; from autobahntestsuite.wstest import run; sys.argv = ["wstest", "-m", "fuzzingclient", "-s", "spec.json"]; run()'
"$python" compare.py
