"""Network connections: links that send and receive bytes, made by `listen` and `dial`."""
