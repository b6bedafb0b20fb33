"""One file per page: what its script may ask of the server."""
