import json
import os
import platform

from tests.conftest import funcrec

CHECKS = ["machine", "privilege", "ring buffer", "uprobes", "lockdown", "limits", "packages", "BCC"]


def test_exit_status_and_requirements_agree() -> None:
    done = funcrec("doctor", "--format", "json", check=False)
    answer = json.loads(done.stdout)
    missing = [row for row in answer["requirements"] if row["status"] == "missing"]
    assert answer["able"] == (not missing)
    assert done.returncode == (3 if missing else 0)
    assert all(row["remedy"] for row in missing)
    if platform.machine() == "x86_64":
        assert [row["name"] for row in answer["requirements"]] == CHECKS


def test_without_privilege_it_says_what_is_missing_and_the_remedy() -> None:
    # A user namespace of our own has no privilege outside of it, whoever runs the tests.
    powerless = ["unshare", "--user", "--map-root-user"] if os.geteuid() == 0 else []
    done = funcrec("doctor", check=False, prefix=powerless)
    assert done.returncode == 3, done.stdout
    assert "missing  privilege" in done.stdout
    assert "try: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
