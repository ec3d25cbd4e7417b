"""The harness: a network to break, a clock to bend, a seed to replay. For any Trio program, and free of pytest."""
