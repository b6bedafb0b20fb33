"""The web app: pages that show runs, play with generators and ask people which picture is real.

The server never imports torch: what needs it happens in child processes (`worker`). Everything that comes in passes
`guard` first. Nothing here takes a path from a client: `desk` turns ids into places.
"""
