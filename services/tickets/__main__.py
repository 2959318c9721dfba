"""`python -m services.tickets`: serve a replica, migrate, or run background jobs."""

from services.tickets.app import SERVICE
from shared.service.run import main

main(SERVICE)
