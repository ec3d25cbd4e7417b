"""The wire: messages, their payloads, and the frames that carry them. Pure: bytes in, messages out."""
