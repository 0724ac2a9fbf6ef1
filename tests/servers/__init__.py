"""Every adapter on every server that suits it, over raw sockets."""
