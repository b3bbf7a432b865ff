"""Who may talk to whom? CURVE certificates: made, applied to sockets, and what a refusal looks like.

    python keys.py keys --clients alice bob --backends one two three

makes keys/api.key, keys/clients/alice.key, ... (public) and *.key_secret beside each. The API needs its own secret
key and the public keys of all; a client or a backend needs its own secret key and api.key, and nothing else.
Adding a client is adding its public key to keys/clients (the API reads the folder when it starts).
"""

from __future__ import annotations

import argparse
import os
import pathlib
from typing import Any, Mapping

import zmq
import zmq.auth

# ZAP domains, and the folders that hold who is allowed in each.
CLIENTS, BACKENDS = "clients", "backends"


def make(folder: pathlib.Path, clients: list[str], backends: list[str]) -> None:
    """Makes the certificates that are not there yet."""
    # Secret keys are for their owner's eyes; zmq.auth leaves that to the process's mask.
    before = os.umask(0o077)
    try:
        for place, names in ((folder, ["api"]), (folder / CLIENTS, clients), (folder / BACKENDS, backends)):
            place.mkdir(parents=True, exist_ok=True)
            for name in names:
                if not (place / f"{name}.key_secret").exists():
                    zmq.auth.create_certificates(place, name)
    finally:
        os.umask(before)


def serve(socket: zmq.Socket[Any], folder: pathlib.Path, domain: str) -> None:
    """Lets a socket accept only peers that have a certificate in the domain's folder (the authenticator looks)."""
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(folder / "api.key_secret")
    socket.curve_server = True
    socket.zap_domain = domain.encode()


def join(socket: zmq.Socket[Any], own: pathlib.Path, api: pathlib.Path) -> None:
    """Lets a socket prove who it is (`own`, a secret key), and talk to nobody but the API (`api`, its public key)."""
    socket.curve_publickey, socket.curve_secretkey = zmq.auth.load_certificate(own)
    socket.curve_serverkey, _ = zmq.auth.load_certificate(api)


def refusals(socket: Any) -> Any:
    """A socket (of the same kind) that becomes readable when the API refuses this peer: otherwise it would only hear nothing. To be made
    before the socket connects."""
    return socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)


def refusal(event: Mapping[str, object]) -> PermissionError:
    """What was received there (recv_monitor_message), as an error."""
    if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
        return PermissionError("the API does not know this key")
    return PermissionError("the API speaks only to peers with a key")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes the CURVE certificates of the query service.")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--clients", nargs="*", default=[])
    parser.add_argument("--backends", nargs="*", default=[])
    options = parser.parse_args()
    make(options.folder, options.clients, options.backends)
