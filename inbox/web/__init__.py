"""What all pages share: middleware, layout, live updates, static assets."""
