#!/usr/bin/env bash
# Looks at the dashboard with a headless Chromium while mock providers are under load. It needs
# npm, its registry and Chromium (Debian's package, or CHROMIUM=/path/to/it); what is missing is said,
# and skipped. Screenshots are left in SHOTS, by default a temporary directory that is removed.
set -euo pipefail
cd "$(dirname "$0")"

skip() { echo "Skipped the browser suite: $*"; exit 0; }
command -v npm >/dev/null || skip 'npm is not installed.'
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[[ -n $CHROMIUM ]] || skip 'Chromium is not installed.'
npm ci --no-audit --no-fund --silent || skip 'npm cannot install playwright-core and axe-core.'

work=$(mktemp -d)
cleanup() {
	# shellcheck disable=SC2046 # one word for each process
	kill $(jobs -p) 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

export CHROMIUM SUITE_DIR=$work SHOTS=${SHOTS:-$work} XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work
read -r GATEWAY_PORT DASHBOARD_PORT < <(node -e '
const net = require("net");
const servers = [0, 1].map(() => net.createServer().listen(0, "127.0.0.1"));
Promise.all(servers.map((s) => new Promise((done) => s.once("listening", () => done(s.address().port)))))
	.then((ports) => { console.log(...ports); servers.forEach((s) => s.close()); });')
export GATEWAY_PORT DASHBOARD_PORT GATEWAY_URL=http://127.0.0.1:$GATEWAY_PORT DASHBOARD_URL=http://localhost:$DASHBOARD_PORT
for name in SEARCH SUPPORT RESEARCH; do
	export "KEY_$name=made-up-$name-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
done

binary=${BINARY:-$work/caddy}
[[ -n ${BINARY:-} ]] || (cd ../.. && go build -o "$work/caddy" ./cmd/caddy)
"$binary" run --config gateway.Caddyfile --adapter caddyfile >"$work/gateway.log" 2>&1 &
gateway=$!
for _ in $(seq 100); do
	curl -sf -o /dev/null "$DASHBOARD_URL/" && break
	sleep 0.1
done
node load.mjs &
sleep "${WARMUP:-15}"

if ! node --test --test-reporter=spec suite.test.mjs; then
	tail -n 20 "$work/gateway.log"
	exit 1
fi

echo '== the process exits at once while pages are open'
curl -sN "$DASHBOARD_URL/data/events" >"$work/events" &
watcher=$!
sleep 1.5
kill %2 # the load
start=$(date +%s%N)
kill "$gateway"
wait "$watcher" || { echo "the stream was cut: curl said $?"; exit 1; }
took=$((($(date +%s%N) - start) / 1000000))
((took < 2000)) || { echo "the stream ended after $took ms"; exit 1; }
echo "The dashboard is as it should be; its stream ended ${took} ms after the signal."
