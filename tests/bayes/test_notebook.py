"""The lines of docs/notebook.md, as they stand."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = next(
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "notebook.md").read_text(), re.DOTALL)
    if "import bayes" in block
)
LOADED = """
import sys
print(sorted({"fastapi", "sqlalchemy", "store", "service", "torchvision"} & {*sys.modules}))
"""


def test_the_notebook_lines_learn_the_digits_and_load_no_service() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{LINES}{LOADED}"],
        capture_output=True,
        text=True,
        check=True,
    )

    *_, scores, loaded = done.stdout.splitlines()
    found = re.search(r"'accuracy': ([\d.]+)", scores)
    assert found is not None
    assert float(found[1]) > 0.9
    assert loaded == "[]"
