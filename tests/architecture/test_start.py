"""What a web process loads: the server answers without TensorFlow in its memory, and within its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MEBIBYTE = 1024 * 1024
#: design figure for a web process with the image model loaded
MOST_MEBIBYTES = 200

PROGRAM = """
import json, sys
from pathlib import Path
from hie.app import create_app
from hie.settings import Settings
app = create_app(Settings(data_dir=Path(sys.argv[1]), log_level="ERROR"))
assert app.test_client().get("/health").status_code == 200
assert app.test_client().get("/fhir/metadata").status_code == 200
before = sorted(name for name in ("tensorflow", "keras", "onnxruntime", "pydicom") if name in sys.modules)
application = app.extensions["hie"]
assert application.models["chest-xray"].manifest["name"] == "chest-xray"
assert application.models["recommender"].version
after = sorted(name for name in ("tensorflow", "keras", "tf2onnx", "torch") if name in sys.modules)
status = Path("/proc/self/status")
resident = 0
if status.exists():
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    resident = int(line.split()[1]) * 1024
application.close()
print(json.dumps({"before": before, "after": after, "resident": resident}))
"""


def test_the_application_starts_judges_and_stays_small_without_tensorflow(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "data")], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["before"] == []
    assert found["after"] == []
    assert found["resident"] < MOST_MEBIBYTES * MEBIBYTE


def test_the_commands_start_without_the_server(tmp_path: Path) -> None:
    program = "import sys; import hie.cli; print(sorted({'flask', 'sqlalchemy', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
                          cwd=Path(__file__).resolve().parents[2])  # fmt: skip
    assert done.stdout.strip() == "[]"
