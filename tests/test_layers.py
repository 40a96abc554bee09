"""Imports point down only, and the core never needs torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import featherseg

PACKAGE = Path(featherseg.__file__).parent

# Top row first; within a row a module may import those to its right.
LAYERS = (
    ("__main__", "cli"),
    ("reproduce", "benchmark"),
    ("distillation", "crossval", "grid", "demo"),
    ("export", "train", "compress"),
    ("networks", "losses"),
    ("report", "scoring", "stress", "compare", "evaluation", "summary", "operating_point", "audit"),
    ("splits", "metrics", "stats", "duplicates", "case_table"),
    ("zoo", "verify", "stream", "segment", "datasets"),
    (
        *("images", "runtime", "bundle", "manifest", "postprocess", "preprocess"),
        *("likeness", "calipers"),
        *("measure", "circumference", "shape", "ellipse"),
    ),
    ("types", "storage", "extras", "errors"),
)
TORCH_ROWS = 5
HEAVY = {"torch", "torchvision", "timm", "lightning_fabric", "nncf", "onnx"}
CORE_ROWS = LAYERS[-2:]
BEYOND_CORE = HEAVY | {"scipy", "matplotlib", "jinja2", "safetensors", "yaml"}


def place(module: str) -> tuple[int, int]:
    for row, names in enumerate(LAYERS):
        if module in names:
            return row, names.index(module)
    raise AssertionError(f"{module} has no place in LAYERS: add it to the table")


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules imported anywhere in a file, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> Iterator[tuple[str, Path]]:
    """(top-level module name, file) of everything but the package's own __init__."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.name == "__init__.py" and len(relative.parts) == 1:
            continue
        yield relative.parts[0].removesuffix(".py"), path


def test_imports_point_down() -> None:
    wrong = []
    for name, path in modules():
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] != "featherseg" or len(parts) < 2 or parts[1].startswith("__"):
                continue
            if parts[1] == name:
                continue
            if place(parts[1]) < place(name):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_torch_stays_in_the_upper_rows() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {imported}"
        for name, path in modules()
        if place(name)[0] >= TORCH_ROWS
        for imported in imports(path)
        if imported.split(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_the_core_needs_nothing_beyond_its_own_packages() -> None:
    core = {name for row in CORE_ROWS for name in row} | {"segment", "verify"}
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {imported}"
        for name, path in modules()
        if name in core
        for imported in imports(path)
        if imported.split(".")[0] in BEYOND_CORE
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_the_package_and_the_command_line_is_light() -> None:
    program = (
        "import sys, featherseg, featherseg.cli;"
        "heavy = {'torch', 'numpy', 'cv2', 'openvino', 'scipy', 'matplotlib', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_public_names_are_lazy_and_complete() -> None:
    assert set(featherseg.__all__) <= set(dir(featherseg))
    for name in featherseg.__all__:
        assert callable(getattr(featherseg, name))
