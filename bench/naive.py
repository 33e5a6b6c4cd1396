"""Naive servers, as one writes them in an hour: no checks, no time-outs, no errors, short messages only.

``protobuf-inline``   ProtoBuf:1 on one thread, with an epoll set and a greenlet for each connection: the
                      floor of ProtoBuf:1
``protobuf-threads``  ProtoBuf:1 with a thread for each connection, which runs the handler and blocks in
                      its calls
``msgpack-threads``   MsgPack:1 with a thread for each connection; the steps of an event come on any of
                      them, so a handler is a generator, which any thread may resume

The fourth, MsgPack:1 on one thread, is floor.py.

Usage: python naive.py KIND SOCKET [PLUGIN], or python naive.py KIND --dump [PLUGIN] for Kong's query
command; PLUGIN is hello (default), bench or empty.
"""

import itertools
import os
import select
import socket
import sys
import threading

import greenlet
import msgpack
from naive_plugins import HANDLERS, STEPS, dump, unlinked

INSTANCES = itertools.count(os.getpid() << 8)
"""Ids that the process before this one did not have, as Kong keeps them when a server restarts."""

# ---- ProtoBuf:1 ----


def varint(number):
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)


def read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


def frame(data):
    return len(data).to_bytes(4, "little") + data


def field(tag, data):
    return tag + varint(len(data)) + data


def text_field(text):
    return field(b"\x0a", text.encode())


CALLS = {
    "kong.request.get_method": lambda: b"",
    "kong.request.get_path": lambda: b"",
    "kong.request.get_header": text_field,
    "kong.response.set_header": lambda name, value: (
        text_field(name) + field(b"\x12", field(b"\x1a", value.encode()))
    ),
}
"""The argument of each function that the handlers call: Empty, String, or KV."""

NAMES = {function: frame(function.encode()) for function in CALLS}


def question(function, args):
    return NAMES[function] + frame(CALLS[function](*args))


def answer(data):
    """The String in a result's frame; what is empty has no field."""
    if len(data) == 4:
        return ""
    length, at = read_varint(data, 5)
    return data[at : at + length].decode()


def read_call(data):
    """The sequence of an RpcCall, and the tag of what it asks: the field's number and wire type."""
    sequence = call = 0
    at = 4
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag == 8:
            sequence = value
        else:
            call = tag >> 3
            at += value
    return sequence, call


START_INSTANCE, CLOSE_INSTANCE, HANDLE_EVENT = 33, 35, 36


def returned(sequence, call):
    """The frames that end a call."""
    number = b"\x08" + varint(sequence)
    if call == HANDLE_EVENT:
        return b"\0\0\0\0" + frame(number)
    status = b"\x10" + varint(next(INSTANCES)) if call == START_INSTANCE else b""
    return frame(number + field(b"\x8a\x02", status))


def serve_connection(client, handler):
    def ask(function, *args):
        client.send(question(function, args))
        return answer(receive(client))

    while data := receive(client):
        sequence, call = read_call(data)
        if call == HANDLE_EVENT:
            handler(ask)
        client.send(returned(sequence, call))
    client.close()


def receive(client):
    """One frame with its length, which Kong sends apart; nothing at the end."""
    data = client.recv(65536)
    while data and len(data) < 4 + int.from_bytes(data[:4], "little"):
        data += client.recv(65536)
    return data


def protobuf_inline(path, plugin):
    handler = HANDLERS[plugin]
    listener = listening(path)
    poller = select.epoll()
    poller.register(listener.fileno(), select.EPOLLIN)
    main = greenlet.getcurrent()
    connections = {}
    parts = {}

    def ask(function, *args):
        return answer(main.switch(question(function, args)))

    def serve(data):
        while True:
            sequence, call = read_call(data)
            if call == HANDLE_EVENT:
                handler(ask)
            data = main.switch(returned(sequence, call))

    while True:
        for fd, _ in poller.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                connections[client.fileno()] = client, greenlet.greenlet(serve)
                poller.register(client.fileno(), select.EPOLLIN)
                continue
            client, events = connections[fd]
            data = client.recv(65536)
            if not data:
                poller.unregister(fd)
                del connections[fd]
                client.close()
                continue
            if fd in parts:
                data = parts.pop(fd) + data
            if len(data) < 4 + int.from_bytes(data[:4], "little"):
                parts[fd] = data
                continue
            client.send(events.switch(data))


def protobuf_threads(path, plugin):
    handler = HANDLERS[plugin]
    for client in accepted(path):
        threading.Thread(target=serve_connection, args=(client, handler), daemon=True).start()


# ---- MsgPack:1 ----


def msgpack_threads(path, plugin):
    steps = STEPS[plugin]
    events = {}
    ids = itertools.count()

    def resumed(event_id, event, data):
        try:
            function, *args = event.send(data)
        except StopIteration:
            events.pop(event_id, None)
            return {"EventId": event_id, "Data": "ret"}
        events[event_id] = event
        return {"EventId": event_id, "Data": {"Method": function, "Args": args}}

    def serve(client):
        while data := client.recv(65536):
            _, message_id, method, [arg] = msgpack.unpackb(data, strict_map_key=False)
            if method == "plugin.HandleEvent":
                result = resumed(next(ids), steps(), None)
            elif method == "plugin.StartInstance":
                result = {"Id": next(INSTANCES)}
            elif method == "plugin.CloseInstance":
                result = {}
            else:
                event_id = arg["EventId"]
                result = resumed(event_id, events[event_id], arg.get("Data"))
            client.send(msgpack.packb([1, message_id, None, result]))
        client.close()

    for client in accepted(path):
        threading.Thread(target=serve, args=(client,), daemon=True).start()


# ---- both ----


def listening(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unlinked(path))
    listener.listen(4096)
    return listener


def accepted(path):
    listener = listening(path)
    while True:
        yield listener.accept()[0]


KINDS = {
    "protobuf-inline": protobuf_inline,
    "protobuf-threads": protobuf_threads,
    "msgpack-threads": msgpack_threads,
}

if __name__ == "__main__":
    kind, where, name = [*sys.argv[1:], "hello"][:3]
    if where == "--dump":
        dump(name, "MsgPack:1" if kind == "msgpack-threads" else "ProtoBuf:1")
    else:
        KINDS[kind](where, name)
