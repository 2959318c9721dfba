"""The simulator's world made real: its replicas as processes on the clock, its requests over sockets."""
