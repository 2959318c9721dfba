"""Loading the key pair; the library's own errors end here."""

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from shared.identity.model import ALGORITHM


def load_key(pem: bytes, *, private: bool) -> OKPKey:
    """An Ed25519 key from PEM (PKCS#8 or SubjectPublicKeyInfo).

    Raises `ValueError` for anything else, and for a private key where a public one belongs: a service
    holding it could sign identities itself.
    """
    wanted = f"the identity key must be an Ed25519 {'private' if private else 'public'} key in PEM"
    try:
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError) as error:
        raise ValueError(wanted) from error
    if key.curve_name != ALGORITHM or key.is_private is not private:
        raise ValueError(wanted)
    return key
