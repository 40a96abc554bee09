"""`featherseg verify`: is a bundle whole, and does it compute here what it did when it was made?"""

from typing import TYPE_CHECKING, Annotated

import typer

from featherseg.cli.options import BundleFolder, bundle_folder

if TYPE_CHECKING:
    from featherseg.bundle import AgreementEntry


def verify(
    bundle: BundleFolder,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a bundle's files and compare the runtimes.

    Exit status 0 when all agree with the logits stored in the bundle, 1 when
    one does not, 2 when a file is missing or changed.

    Examples: featherseg verify bundle; featherseg verify zoo:fetal-head
    """
    from featherseg.bundle import load_bundle
    from featherseg.cli.console import print_json
    from featherseg.verify import verify_bundle

    loaded = load_bundle(bundle_folder(bundle))
    verification = verify_bundle(loaded)
    if json:
        print_json(
            {
                "bundle": loaded.id,
                "checks": [each.model_dump() for each in verification.agreements],
                "findings": list(verification.findings),
            }
        )
    else:
        typer.echo(f"bundle {loaded.id}: all {len(loaded.manifest.files)} files are unchanged")
        for agreement in verification.agreements:
            typer.echo(described(agreement))
    for finding in verification.findings:
        typer.echo(f"MISMATCH {finding}", err=True)
    if verification.findings:
        raise typer.Exit(1)


def described(agreement: "AgreementEntry") -> str:
    """One line on how near a runtime is to torch."""
    return (
        f"{agreement.runtime} {agreement.precision}, {agreement.images} images: "
        f"logits within {agreement.largest_difference:.1e} of the largest, "
        f"{agreement.differing_pixels:.1e} of the pixels differ, "
        f"Dice {agreement.dice_change:+.4f}"
    )
