"""Which file: the order, network file systems, and directories in public places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuwatch.errors import StoreError
from gpuwatch.store.location import Location, fallback_store, locate, network_filesystem, private_directory

UID = os.getuid()


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A root on ext4 and a home on NFS."""
    table = tmp_path / "mountinfo"
    lines = [
        "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
        f"30 22 0:40 / {tmp_path}/net\\040home rw shared:7 - nfs4 server:/home rw,vers=4.2",
        f"31 22 0:41 / {tmp_path}/net\\040home/local rw - xfs /dev/vdb rw",
        f"32 22 0:42 / {tmp_path}/sshfs rw - fuse.sshfs host:/ rw",
        "broken line",
    ]
    table.write_text("\n".join(lines) + "\n")
    return table


def find(tmp_path: Path, mounts: Path, **given: object) -> Location:
    options: dict[str, object] = {
        "option": None, "environ": {"HOME": str(tmp_path / "home")}, "config": None, "uid": UID, "system": tmp_path / "system.db",
        "local_root": tmp_path / "var-tmp", "mounts": mounts,
    }  # fmt: skip
    (tmp_path / "var-tmp").mkdir(exist_ok=True)
    return locate(**{**options, **given})  # type: ignore[arg-type]


def test_the_order(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "system.db").touch()
    given: dict[str, object] = {"option": "/a/x.db", "environ": {"GPUWATCH_STORE": "/b/x.db"}, "config": "/c/x.db"}
    seen = []
    for name, nothing in (("option", None), ("environ", {}), ("config", None)):
        place = find(tmp_path, mounts, **given)
        seen.append((str(place.path), place.source))
        given[name] = nothing
    place = find(tmp_path, mounts)
    seen.append((place.path.name, place.source))
    (tmp_path / "system.db").unlink()
    place = find(tmp_path, mounts, environ={"XDG_STATE_HOME": "/state"})
    seen.append((str(place.path), place.source))
    assert seen == [
        ("/a/x.db", "option"),
        ("/b/x.db", "environment"),
        ("/c/x.db", "config"),
        ("system.db", "system"),
        ("/state/gpuwatch/gpuwatch.db", "state"),
    ]
    for relative in ({"XDG_STATE_HOME": "rel"}, {}):
        place = find(tmp_path, mounts, environ={"HOME": str(tmp_path / "home"), **relative})
        assert place.path == tmp_path / "home/.local/state/gpuwatch/gpuwatch.db"
    assert find(tmp_path, mounts, environ={"HOME": ""}).path.is_absolute()
    assert find(tmp_path, mounts).path == tmp_path / "home/.local/state/gpuwatch/gpuwatch.db"


def test_a_directory_means_the_file_in_it(tmp_path: Path, mounts: Path) -> None:
    assert find(tmp_path, mounts, option=str(tmp_path)).path == tmp_path / "gpuwatch.db"


def test_a_url_is_refused(tmp_path: Path, mounts: Path) -> None:
    with pytest.raises(StoreError, match="is a URL"):
        find(tmp_path, mounts, option="postgresql://db/gpuwatch")


def test_a_home_on_nfs_means_a_private_directory_on_the_local_disk(tmp_path: Path, mounts: Path) -> None:
    place = find(tmp_path, mounts, environ={"HOME": str(tmp_path / "net home")})
    assert place.path == tmp_path / "var-tmp" / f"gpuwatch-{UID}" / "gpuwatch.db"
    assert "network file system (nfs4)" in place.notice and not place.network
    assert place.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_named_file_on_a_network_is_used_and_said(tmp_path: Path, mounts: Path) -> None:
    place = find(tmp_path, mounts, option=str(tmp_path / "sshfs" / "x.db"))
    assert place.network and "fuse.sshfs" in place.notice


def test_the_deepest_mount_decides(tmp_path: Path, mounts: Path) -> None:
    assert network_filesystem(tmp_path / "net home/a/b.db", mounts) == "nfs4"
    assert network_filesystem(tmp_path / "net home/local/b.db", mounts) == ""
    assert network_filesystem(tmp_path / "net home else/b.db", mounts) == ""
    assert network_filesystem(tmp_path / "b.db", tmp_path / "no table") == ""


def test_a_link_to_a_network_is_seen_through(tmp_path: Path, mounts: Path) -> None:
    (tmp_path / "net home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net home")
    assert network_filesystem(tmp_path / "link/x.db", mounts) == "nfs4"


def test_a_public_place_is_only_used_when_it_is_ours(tmp_path: Path) -> None:
    assert private_directory(tmp_path / "mine", UID) == private_directory(tmp_path / "mine", UID)
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for name in ("link", "open", "file"):
        with pytest.raises(StoreError, match="not a private directory"):
            private_directory(tmp_path / name, UID)
    with pytest.raises(StoreError, match="not a private directory"):
        private_directory(tmp_path / "mine", UID + 1)


def test_each_store_has_its_own_stand_in(tmp_path: Path) -> None:
    a, b = (fallback_store(UID, Path(f"/{name}/gpuwatch.db"), tmp_path) for name in "ab")
    assert a != b and a.parent == b.parent == tmp_path / f"gpuwatch-{UID}"
