"""What our local pages share: how they are served, how they look, and how they ask the server."""
