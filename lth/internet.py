"""Whether a host on the internet answers, asked before a download that could otherwise hang for minutes. Imports no torch."""

import socket
from contextlib import suppress
from threading import Event, Thread
from urllib.parse import urlsplit
from urllib.request import getproxies

SECONDS = 3.0


def reachable(host: str) -> bool:
    """Return whether ``host``, or the proxy of the environment, takes a connection within three seconds."""
    proxy, answered = urlsplit(getproxies().get("https", "")), Event()

    def connect() -> None:
        with suppress(OSError):
            socket.create_connection((proxy.hostname or host, proxy.port or 443), SECONDS).close()
            answered.set()

    # In a thread, because the time limit of a socket does not hold while its host's name is looked up.
    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return answered.is_set()
