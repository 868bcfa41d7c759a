import pytest

from benchmarks import arm


@pytest.mark.slow
def test_arm_computes_exported_files_right():
    if reason := arm.missing():
        pytest.skip(reason)
    rows = {row["network"]: row for row in arm.measure(1, quick=True)["files"]}
    assert {row["found"] for row in rows.values()} == {"right"}
    assert rows["lenet-.99"]["encoding"] == "encoded sparse"
    # Where this is right, a runtime without the fault is at hand.
    assert "instead of (1, 1, 1, 64)" in rows["mobile-.9"]["sparse"]


@pytest.mark.parametrize("text", [None, "exit 1", "echo 'no site' >&2; exit 2"])
def test_what_is_missing_is_one_line(tmp_path, monkeypatch, text):
    program = tmp_path / "run.sh"
    if text:
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setattr(arm, "PROGRAM", program)
    reason = arm.missing()
    assert reason is not None and len(reason.splitlines()) == 1
    assert ("no site" in reason) == (text is not None and "site" in text)
    with pytest.raises(SystemExit, match="no Arm processor"):
        arm.measure(1, quick=True)
