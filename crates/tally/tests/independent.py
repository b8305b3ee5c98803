"""A listener that shares no code with Tally: a bare websocket, and the ledger as docs/wire.md prints it.

Usage: independent.py HOST:PORT CHANNEL SEQ MAX_RATE path/to/wire.md

Listens until its cursor is at SEQ, checks both laws on every frame, compares its account with GET /v1/channels/CHANNEL,
and prints the account as JSON. Exit status 0 only if everything agrees.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import socket
import struct
import sys

address, channel, last, max_rate, page = sys.argv[1:]
with open(page, encoding="utf-8") as text:
    exec(re.search(r"```python\n(class Violation.*?)```", text.read(), re.DOTALL)[1])

host, port = address.rsplit(":", 1)
link = socket.create_connection((host, int(port)), timeout=60)
stream = link.makefile("rb")


def shake_hands():
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /v1/ws HTTP/1.1", f"Host: {address}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: tally.v1", "", "",
    ]
    link.sendall("\r\n".join(lines).encode())
    assert b" 101 " in stream.readline()
    headers = {}
    while (line := stream.readline().strip()):
        name, value = line.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    assert headers["sec-websocket-accept"] == base64.b64encode(accept).decode()
    assert headers["sec-websocket-protocol"] == "tally.v1"


def send(payload, opcode=1):
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    size = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0xFE, len(payload))
    link.sendall(bytes([0x80 | opcode]) + size + mask + masked)


def frames():
    while True:
        first, size = stream.read(2)
        assert first & 0x80 and not size & 0x80, "fragmented or masked"
        if size >= 126:
            (size,) = struct.unpack("!H" if size == 126 else "!Q", stream.read(2 if size == 126 else 8))
        payload = stream.read(size)
        if first & 15 == 9:
            send(payload, 10)
        elif first & 15 == 1:
            yield json.loads(payload)
        else:
            raise SystemExit(f"the connection ended: {first:#x} {payload!r}")


shake_hands()
wanted = {"channel": channel, "max_rate": int(max_rate)}
send(json.dumps({"type": "subscribe", "id": 1, "channels": [wanted]}).encode())
ledger, is_first = None, True
for frame in frames():
    kind = frame["type"]
    assert (kind == "hello") == is_first
    is_first = False
    if kind == "subscribed" and frame["upstream"] != "pending" or kind == "reset":
        ledger = Ledger(frame)
        print("attached", file=sys.stderr, flush=True)
    elif kind == "events":
        ledger.events(frame)
    elif kind == "counts":
        ledger.counts(frame)
    elif kind == "summary":
        for one in frame["channels"]:
            ledger.summary(frame["why"], one)
    elif kind in ("error", "goodbye"):
        raise SystemExit(f"refused: {frame}")
    if ledger:
        told = dict(ledger.attached)
        for column in [ledger.full, *ledger.counted.values(), *ledger.summarised.values()]:
            add(told, column)
        assert told == ledger.totals and sum(told.values()) == ledger.cursor, "law 1"
        if ledger.cursor >= int(last):
            break

web = http.client.HTTPConnection(address, timeout=60)
web.request("GET", f"/v1/channels/{channel}")
broker = json.loads(web.getresponse().read())
mine = {"epoch": ledger.epoch, "seq": ledger.cursor, "totals": ledger.totals, "state": ledger.state}
for field, value in mine.items():
    if field == "state" and value:
        value = {key: value[key] for key in broker["state"]}
    if value != broker[field]:
        raise SystemExit(f"{field}: {value} here, {broker[field]} at the broker")
print(json.dumps({**mine, "full": ledger.full, "counted": ledger.counted, "summarised": ledger.summarised}))
