"""What the proofs of the response-time formula are made with: a service that can be slow in every way, and traffic."""
