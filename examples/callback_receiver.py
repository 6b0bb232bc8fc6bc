"""Prints the callbacks of examples/overflow.Caddyfile, and whether they are signed as they should be.

Standard library only. The signature is checked after the Standard Webhooks specification 1.0.0.
"""

import base64
import hashlib
import hmac
import http.server
import time

SECRET = base64.b64decode("bm90LWEtc2VjcmV0LWp1c3QtdG8tdHJ5LXRoaW5ncy1vdXQ=")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stamp = self.headers["webhook-timestamp"]
        signed = f"{self.headers['webhook-id']}.{stamp}.".encode() + body
        want = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
        genuine = abs(time.time() - int(stamp)) < 300 and any(
            hmac.compare_digest(want, got) for got in self.headers["webhook-signature"].split()
        )
        print("genuine" if genuine else "FORGED", body.decode(), flush=True)
        self.send_response(204 if genuine else 401)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    print("waiting for callbacks on http://127.0.0.1:4010/", flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", 4010), Receiver).serve_forever()
