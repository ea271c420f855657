"""A member comes back at another address. One person is told; the other nodes find it by what that
one's node says inside its heartbeats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flocksy.status.client import request
from flocksy.testing.over_tcp import free_ports, write_flock
from flocksy.testing.rig import Rig, RigNode, wait_until
from tests.integration.flock import command, flying

MOVED_SECONDS = 60.0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_who_has_moved_is_found_by_all(tmp_path: Path) -> None:
    ports = free_ports(4)
    first, second, third, moved = (f"127.0.0.1:{port}" for port in ports)
    configs = write_flock(tmp_path, [first, second, third], ["profile = fast"])
    with flying(Rig(configs, tmp_path)) as rig:
        told, finder, mover = rig.nodes
        assert rig.stop(mover) == 0
        for name in ("flocksy_keystore", "flocksy_privatekeys"):
            keys = json.loads((rig.keys / name).read_text())
            keys[f"tcp://{moved}"] = keys[f"tcp://{third}"]
            (rig.keys / name).write_text(json.dumps(keys))
        for node in (told, mover):
            node.config.write_text(node.config.read_text().replace(third, moved))
        rig.start(mover)
        assert "joins the flock anew" in str(request(told.control_socket(), "reload")["text"])
        rig.wait_for_view(timeout_seconds=MOVED_SECONDS)
        # The texts of a status are up to a second older than its numbers.
        wait_until(lambda: address(finder, third) == f"tcp://{moved}", "it is shown", MOVED_SECONDS)
        assert address(told, moved) == ""
        assert f"tcp://{third} (at tcp://{moved})" in command(finder, "status")
        (mover.box / "from there").write_text("I am here now")
        rig.wait_equal()
        wait_until(lambda: f"tcp://{moved}" in kept(finder), "it is kept", MOVED_SECONDS)


def address(node: RigNode, endpoint: str) -> str:
    links = node.status()["links"]
    assert isinstance(links, list)
    return str(next(link["address"] for link in links if link["endpoint"] == f"tcp://{endpoint}"))


def kept(node: RigNode) -> str:
    found = Path(node.environment["XDG_STATE_HOME"]).glob("flocksy/*/addresses.json")
    return "".join(path.read_text() for path in found)
