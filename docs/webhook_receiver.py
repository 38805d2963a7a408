"""Takes the deliveries of one webhook: SECRET=... python3 webhook_receiver.py PORT"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ["SECRET"].encode()
MAX_AGE = 300  # seconds; an older delivery is one that somebody repeats


def is_genuine(headers, body):
    sent = headers.get("X-Collimator-Timestamp", "")
    if not sent.isdecimal() or abs(time.time() - int(sent)) > MAX_AGE:
        return False
    signed = hmac.new(SECRET, sent.encode() + b"." + body, hashlib.sha256)
    given = headers.get("X-Collimator-Signature", "")
    return hmac.compare_digest("sha256=" + signed.hexdigest(), given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not is_genuine(self.headers, body):
            self.send_error(401)
            return
        event = json.loads(body)
        series = event["data"]
        # The same event may come twice: its id is that of the series and its revision. Write it
        # down, answer, and work on it afterwards.
        print("complete:", event["id"], series["InstancesCount"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
