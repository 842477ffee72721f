"""A daemon is ready once it takes connections, not once its socket is there."""

import socket

from peers.strongswan import CharonProcess


def test_a_socket_that_nobody_listens_on_is_not_ready(tmp_path):
    charon = CharonProcess(tmp_path / "charon")
    assert not charon._listens()
    with socket.socket(socket.AF_UNIX) as vici:
        vici.bind(str(charon.folder / "vici"))
        assert not charon._listens()
        vici.listen()
        assert charon._listens()
