"""`python -m services.gateway`: serve until SIGTERM or SIGINT, then drain and exit 0."""

import os
import sys

from pydantic import ValidationError

from services.gateway import config
from services.gateway.app import VERSION, Gateway
from services.gateway.auth.store import KeyStore
from services.gateway.documents import DocumentError
from services.gateway.server import listen, serve
from services.gateway.settings import GatewaySettings
from shared.identity.signer import IdentitySigner
from shared.logs.setup import configure_logging
from shared.telemetry.setup import configure


def main() -> None:
    """Read the environment and the files it names, then serve; one clear sentence when either is wrong."""
    settings = _settings()
    configure_logging(settings.log_format, "gateway", settings.instance)
    try:
        snapshot = config.load(settings.config_file)
        keys = KeyStore(settings.api_keys_file)
        signer = IdentitySigner(settings.identity_private_key_file.read_bytes())
        telemetry = configure("gateway", version=VERSION, instance_id=settings.instance, environ=os.environ)
    except (DocumentError, OSError, ValueError) as error:
        sys.exit(f"gateway: {error}")
    gateway = Gateway(snapshot, keys, signer, telemetry)
    listener = listen(settings.host, settings.port)
    serve(gateway, listener, drain_s=settings.drain_s, on_hangup=keys.reload)


def _settings() -> GatewaySettings:
    try:
        return GatewaySettings()
    except ValidationError as error:
        complaints = [f"GATEWAY_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
        sys.exit(f"gateway: {'; '.join(complaints)}")


if __name__ == "__main__":
    main()
