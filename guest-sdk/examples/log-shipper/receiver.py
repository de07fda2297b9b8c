#!/usr/bin/env python3
"""The host's side of the log shipper: keeps each line once, in order.

    ./receiver.py SOCKET FILE

It may be killed and started again at any time: what FILE holds is what was acknowledged, but for a
last line that is not complete, which is cut off.
"""

import os
import socket
import sys


def kept(path):
    """The number of complete lines in the file, which is cut behind the last of them."""
    with open(path, "ab+") as file:
        file.seek(0)
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        return content.count(b"\n")


def serve(connection, file, last):
    """Takes batches until the connection ends, and gives the number of the last line kept."""
    stream = connection.makefile("rwb")

    def acknowledge():
        stream.write(b"ACK %d\n" % last)
        stream.flush()

    acknowledge()
    while header := stream.readline():
        word, first, count = header.split()
        assert word == b"BATCH", header
        lines = [stream.readline() for _ in range(int(count))]
        if not all(line.endswith(b"\n") for line in lines):
            break
        new = lines[max(0, last + 1 - int(first)):]
        file.write(b"".join(new))
        file.flush()
        os.fsync(file.fileno())
        last += len(new)
        acknowledge()
    return last


def main():
    path, log = sys.argv[1:]
    last = kept(log)
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener, open(log, "ab") as file:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    last = serve(connection, file, last)
                except (ConnectionError, BrokenPipeError):
                    last = kept(log)


main()
