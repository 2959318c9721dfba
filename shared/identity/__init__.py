"""Who a request acts for, as the gateway vouches for it.

The gateway checks the caller's key and sends the service a short-lived signed token in
`X-Kontor-Identity`. Three modules, so that code which only handles an `Identity` does not pay for
loading cryptography:

    shared.identity            Identity, IdentityError, IdentityFault, IDENTITY_HEADER   (cheap)
    shared.identity.signer     IdentitySigner     the gateway's side, holds the private key
    shared.identity.verifier   IdentityVerifier   a service's side, holds the public key
"""

from shared.identity.model import IDENTITY_HEADER, Identity, IdentityError, IdentityFault

__all__ = ["IDENTITY_HEADER", "Identity", "IdentityError", "IdentityFault"]
