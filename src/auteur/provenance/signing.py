"""Signs outputs: a C2PA manifest inside the file, under the user's own certificate.

No connection is opened: the signature carries no time stamp of an authority.
"""

from pathlib import Path
from typing import Any

from auteur.errors import InputError
from auteur.files import unfinished_name
from auteur.provenance.credentials import CERTIFICATE_PAGE, SIGNED_KINDS, Signing
from auteur.provenance.manifest import HASH, METADATA, NO_NETWORK, RECORD, VOCABULARY, sdk
from auteur.provenance.mark import DIGITAL_SOURCE_TYPE, Mark

_IPTC_EXTENSION = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"


def sign(path: Path, mark: Mark, signing: Signing, *, title: str) -> None:
    """Adds a signed manifest to a finished file, which is replaced as a whole.

    The manifest states that a trained model created the file, names the inputs of the mark by their hashes as
    ingredients, and holds the mark. The signature is checked before the file takes the place of the other.

    Args:
        path: The file; its ending is one of `SIGNED_KINDS`.
        mark: How it was made.
        signing: Certificate and key.
        title: Name of the file for readers.

    Raises:
        UsageError: c2pa is not installed.
        InputError: Certificate or key cannot be used, or the file cannot be signed.
    """
    c2pa, (algorithm, chain, key) = sdk(), signing.credentials()
    # A thumbnail would be a second, smaller picture of the face.
    settings = {**NO_NETWORK, "builder": {"thumbnail": {"enabled": False}}}
    signed = unfinished_name(path)
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, key, None))
        with (
            c2pa.Context.from_dict(settings, signer=signer) as context,
            c2pa.Builder(_definition(mark, title), context=context) as builder,
            path.open("rb") as source,
            signed.open("w+b") as target,
        ):
            builder.sign(SIGNED_KINDS[path.suffix.lower()], source, target)
        signed.replace(path)
    except c2pa.C2paError as error:
        raise InputError(
            f"cannot sign {title!r} with {str(signing.certificate)!r}: {error}; {CERTIFICATE_PAGE}"
        ) from error
    finally:
        signed.unlink(missing_ok=True)


def _definition(mark: Mark, title: str) -> dict[str, Any]:
    tool = {"name": mark.tool, "version": mark.version}
    created = {
        "action": "c2pa.created",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "softwareAgent": tool,
        "parameters": {"ingredientIds": list(mark.inputs)},
    }
    metadata = {
        "@context": {"Iptc4xmpExt": _IPTC_EXTENSION, "auteur": VOCABULARY, "@vocab": VOCABULARY},
        "Iptc4xmpExt:DigitalSourceType": DIGITAL_SOURCE_TYPE,
        "Iptc4xmpExt:AISystemUsed": mark.tool,
        "Iptc4xmpExt:AISystemVersionUsed": mark.version,
        RECORD: mark.to_json(),
    }
    return {
        "claim_generator_info": [tool],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
            {"label": METADATA, "data": metadata},
        ],
        "ingredients": [
            {"label": role, "title": role, "relationship": "inputTo", "instance_id": f"{HASH}{digest}"}
            for role, digest in mark.inputs.items()
        ],
    }
