#!/usr/bin/env python3
"""Starts `stemma serve` and compares its answers with those of the commands.

usage: check.py STEMMA ATTESTATION
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.parse

FAILURES = []


def want(holds, text):
    if not holds:
        FAILURES.append(text)


def ask(port, path, method="GET", host=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body=body, headers={"Host": host} if host else {})
    response = connection.getresponse()
    return response.status, response.read(), response.headers


def raw(port, data):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(100)


def compare(stemma, port):
    for verb, words in (("where", ["file:src/price.c"]), ("what", ["artifact:libprice.a"]),
                        ("log", []), ("where", ["file:src/*.c + file:include/price.h"]),
                        ("outdated", [])):
        query = urllib.parse.urlencode([("q", w) for w in words])
        status, body, _ = ask(port, f"/api/v1/{verb}?{query}")
        command = subprocess.run([*stemma, verb, *words, "--json"], capture_output=True, check=False)
        want(status == 200 and command.returncode in (0, 4), f"{verb}: {status}, {command.stderr}")
        want(json.loads(body) == json.loads(command.stdout), f"{verb} {words}: {body!r} is not {command.stdout!r}")
    pair = ["file:src/price.c", "artifact:libprice.a"]
    status, body, _ = ask(port, "/api/v1/why?" + urllib.parse.urlencode(dict(zip(("from", "to"), pair))))
    command = subprocess.run([*stemma, "why", *pair, "--json"], capture_output=True, check=False)
    want(json.loads(body) == json.loads(command.stdout), "why differs")
    want(len(json.loads(body)["items"]) == 1, f"why has no chain: {body!r}")


def refusals(port, secret):
    for path, wanted in (("/api/v1/where", 400), ("/api/v1/where?q=nokind:x", 400), ("/x", 404),
                         ("/api/v1/where?q=@" + secret, 400), ("/api/v1/where?q=-", 400),
                         ("/api/v1/where?q=file:x&limit=-1", 400), ("/api/v1/status?x=1", 400),
                         ("/api/v1/where?q=file:x&limit=1&limit=2", 400), ("/../etc/passwd", 404),
                         ("/api/v1/where?q=" + "(" * 5000, 400), ("/" + "a" * 20000, 414)):
        status, body, _ = ask(port, path)
        want(status == wanted, f"{path[:60]}: {status}, not {wanted}: {body[:200]!r}")
        want(b"sesame" not in body, f"{path}: tells what is in a file")
    for host, wanted in (("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost", 200),
                         ("[::1]:1", 200), (f"127.0.0.1:{port}", 200)):
        want(ask(port, "/api/v1/status", host=host)[0] == wanted, f"Host: {host}")
    want(ask(port, "/", method="POST", body=b"x")[0] == 405, "POST is not refused")
    want(ask(port, "/", method="GET", body=b"x")[0] == 413, "a body is not refused")
    for data in (b"", b"\0" * 100, b"GET", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + b"a" * 100000,
                 b"GET /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        raw(port, data)
    want(ask(port, "/api/v1/status")[0] == 200, "the server did not survive")


def main():
    with tempfile.TemporaryDirectory(prefix="stemma-serve-") as folder:
        stemma = [sys.argv[1], "--store", os.path.join(folder, "lineage.db")]
        secret = os.path.join(folder, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write("file:open-sesame\n")
        none = subprocess.run([*stemma, "serve", "--listen", "0"], capture_output=True, check=False)
        want(none.returncode == 1, f"serves no store: {none.stderr}")
        subprocess.run([*stemma, "ingest", sys.argv[2]], capture_output=True, check=True)
        with subprocess.Popen([*stemma, "serve", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE,
                              text=True) as server:
            try:
                port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", server.stderr.readline()).group(1))
                taken = subprocess.run([*stemma, "serve", "--listen", str(port)],
                                       capture_output=True, check=False)
                want(taken.returncode == 1 and b"cannot listen" in taken.stderr, f"{taken.stderr}")
                status, page, headers = ask(port, "/")
                want(status == 200 and b"<title>Stemma</title>" in page, "no page")
                want("script-src 'sha256-" in headers["Content-Security-Policy"], "no policy")
                want(not re.search(rb"(src|href)=\"https?:", page), "the page asks elsewhere")
                compare(stemma, port)
                refusals(port, secret)
            finally:
                server.send_signal(signal.SIGINT)
            want(server.wait(timeout=30) == 0, "^C does not end it well")
    print("\n".join(FAILURES) if FAILURES else "serve: answers like the commands")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
