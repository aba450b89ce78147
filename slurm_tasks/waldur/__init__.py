"""All that knows Waldur: the transport, the few fields that we read, the server's generations."""
