"""Speed: our step against the textbook loop, the machine's own limit, and start-up. See docs/performance.md."""
