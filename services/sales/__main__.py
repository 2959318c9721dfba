"""`python -m services.sales`: serve a replica, migrate, or run background jobs."""

from services.sales.app import SERVICE
from shared.service.run import main

main(SERVICE)
