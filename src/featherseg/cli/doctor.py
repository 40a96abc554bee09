"""`featherseg doctor`: what is installed here, what this machine can do, what is missing."""

from dataclasses import asdict
from typing import Annotated, Any

import typer


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, processor, devices and missing extras.

    Nothing is sent anywhere and PyTorch is not imported.

    Example: featherseg doctor --json
    """
    from featherseg.cli.console import print_json

    report = diagnose()
    if json:
        print_json(report)
    else:
        _print_report(report)


def diagnose() -> dict[str, Any]:
    """What `featherseg doctor --json` prints."""
    import platform

    from featherseg.extras import EXTRAS, installed_version
    from featherseg.runtime.cpu import capabilities, default_precision
    from featherseg.runtime.openvino import available_devices

    extras = {
        extra: {
            "missing": [name for name in packages if installed_version(name) is None],
            "install": f"pip install 'featherseg[{extra}]'",
        }
        for extra, packages in EXTRAS.items()
    }
    optional = sorted({name for packages in EXTRAS.values() for name in packages})
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: installed_version(name) for name in (*_CORE, *optional)},
        "cpu": asdict(capabilities()),
        "devices": list(available_devices()),
        "precision": default_precision(),
        "extras": extras,
    }


_CORE = (
    "featherseg",
    "numpy",
    "opencv-python-headless",
    "openvino",
    "pillow",
    "pydantic",
    "rich",
    "typer",
)


def _print_report(report: dict[str, Any]) -> None:
    cpu = report["cpu"]
    units = [name for name, present in cpu.items() if present is True]
    typer.echo(f"Python     {report['python']} on {report['system']}")
    typer.echo(f"Processor  {cpu['model']}, {cpu['cores']} cores: {', '.join(units) or 'unknown'}")
    typer.echo(f"Devices    {', '.join(report['devices'])}")
    typer.echo(f"Precision  {report['precision']}")
    typer.echo("Packages")
    for name, version in report["versions"].items():
        typer.echo(f"  {name:24} {version or 'not installed'}")
    typer.echo("Extras")
    for extra, state in report["extras"].items():
        missing = ", ".join(state["missing"])
        text = f"missing {missing}; {state['install']}" if missing else "complete"
        typer.echo(f"  {extra:24} {text}")
