"""Whether a host on the internet answers, asked before a download that could otherwise hang for minutes. Imports no torch."""

import socket
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies

SECONDS = 3.0


def reachable(host: str) -> bool:
    """Return whether ``host``, or the proxy of the environment, takes a connection on HTTPS's port within three seconds."""
    proxy = urlsplit(getproxies().get("https", ""))
    address = (proxy.hostname, proxy.port or 443) if proxy.hostname else (host, 443)
    answers: list[bool] = []
    # In a thread, because the time limit of a socket does not hold while its host's name is looked up.
    thread = Thread(target=_connect, args=(address, answers), daemon=True)
    thread.start()
    thread.join(SECONDS)
    return bool(answers)


def _connect(address: tuple[str, int], answers: list[bool]) -> None:
    try:
        socket.create_connection(address, SECONDS).close()
    except OSError:
        return
    answers.append(True)
