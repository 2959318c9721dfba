"""`python -m services.customers`: serve a replica, migrate, or run background jobs."""

from services.customers.app import SERVICE
from shared.service.run import main

main(SERVICE)
