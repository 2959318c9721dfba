"""The demo workspace: a generated company's customers, sales and tickets of the past year."""

from deploy.local.demo.seeding import seed

__all__ = ["seed"]
